from penchant.ids import identity_key, key


def test_equal_ids_of_another_tenant_or_kind_are_others():
    found = {
        key("", "a"),
        key("t", "a"),
        identity_key("", anonymous_id="a"),
        identity_key("", device_id="a"),
        identity_key("t", device_id="a"),
    }
    assert len(found) == 5


def test_the_first_given_identity_counts():
    assert identity_key("t", "u", "a", "d") == key("t", "u")
    assert identity_key("t", "", "a", "d") == identity_key("t", anonymous_id="a")
    assert identity_key("t") == 0
