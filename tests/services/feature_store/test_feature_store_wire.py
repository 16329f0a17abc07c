import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_world import NOW_US, event

from penchant.errors import LogError
from penchant.ids import key
from penchant.v1 import log_pb2
from services.feature_store.deduplication import RecentEvents
from services.feature_store.wire import entry_of, record_of
from services.feature_store.writes import ItemWrite, UserWrite

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
attributes = st.dictionaries(
    text.filter(bool), st.one_of(text, st.floats(allow_nan=False, allow_infinity=False), st.lists(text, max_size=4))
)


@given(
    st.builds(
        event,
        text.filter(bool),
        text,
        st.sampled_from(["click", "search", "hide"]),
        value=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        text=text,
        event_id=text,
        session_id=text,
        recommendation_id=text,
        placement=text,
        slate_position=st.integers(-1, 1000),
        event_time_us=st.integers(0, 2**50),
        consent=st.integers(0, 3),
        context=st.dictionaries(text, text, max_size=3),
    )
)
def test_an_event_survives_the_log(sent):
    if sent.value is None:
        sent = type(sent)(**{**{n: getattr(sent, n) for n in sent.__slots__}, "value": math.nan})
    read = entry_of(7, record_of(sent, NOW_US))
    for name in sent.__slots__:
        if name == "position":
            assert read.position == 7
        elif name == "value" and math.isnan(sent.value):
            assert math.isnan(read.value)
        else:
            assert getattr(read, name) == getattr(sent, name), name


@given(text.filter(bool), attributes, st.booleans(), st.booleans(), st.integers(1, 2**50))
def test_items_and_users_survive_the_log(id_, described, available, deleted, created):
    item = ItemWrite(key("", id_), id_, "", described, available, deleted, created)
    assert entry_of(1, record_of(item, NOW_US)) == item
    user = UserWrite(key("", id_), id_, "", described, NOW_US)
    assert entry_of(1, record_of(user, NOW_US)) == user


def test_an_item_without_a_time_appeared_on_arrival():
    read = entry_of(1, record_of(ItemWrite(1, "a"), NOW_US))
    assert read.created_us == NOW_US


@pytest.mark.parametrize(
    "record", [log_pb2.LogRecord(schema_version=2), log_pb2.LogRecord(schema_version=1, key_id="k")]
)
def test_a_record_this_program_cannot_read_is_refused(record):
    with pytest.raises(LogError, match="run the newer program"):
        entry_of(3, record.SerializeToString())


def test_attributes_compare_as_text():
    user = UserWrite(1, "u", attributes={"age": 25.0, "share": 0.5, "plan": "paid", "likes": ["a", "b"]})
    assert user.texts() == {"age": "25", "share": "0.5", "plan": "paid", "likes": "a|b"}


def test_ids_are_forgotten_after_the_horizon_and_not_before():
    recent = RecentEvents(3)
    for position in range(1, 6):
        recent.remember(event(event_id=f"e{position}"), position)
    assert [recent.position(event(event_id=f"e{n}")) for n in range(1, 6)] == [0, 0, 3, 4, 5]
    assert len(recent) == 3
    assert recent.position(event(event_id="")) == 0
    assert recent.position(event(event_id="e5", tenant="other")) == 0
