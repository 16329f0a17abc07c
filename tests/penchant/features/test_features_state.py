import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.events import EVENT_TYPES, Event
from penchant.features import FeatureSchema, ItemFeatures, UserFeatures, apply_to_users, state_of
from penchant.features.kinds import DAY_US, accumulate
from penchant.leaves import HISTORY_LENGTH, SEEN_LENGTH

SCHEMA = FeatureSchema.default(
    has_times=True, has_values=True, item_attributes={}, user_attributes={"plan": ("free", "paid")}
)
CODES = [kind.code for kind in EVENT_TYPES.values()]
START_US = 1_700_000_000_000_000

# Distinct times: among equal times the log's order counts, so a shuffle may differ by right.
histories = st.lists(
    st.tuples(
        st.integers(0, 400 * DAY_US),
        st.integers(1, 12),
        st.sampled_from(CODES),
        st.one_of(st.just(float("nan")), st.sampled_from([0.5, 1.0, 3.5, 4.0, 5.0, 1000.25])),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[0],
)


def columns(rows):
    times, keys, types, values = zip(*rows, strict=True)
    return (
        np.array(keys, np.int64), np.array(types, np.int64), np.array(values, np.float64),
        np.array(times, np.int64) + START_US,
    )  # fmt: skip


def replayed(rows, cuts=()) -> UserFeatures:
    user = UserFeatures.empty(SCHEMA)
    for part in np.split(np.arange(len(rows)), sorted(cuts)):
        if len(part):
            user.apply_columns(*columns([rows[i] for i in part]))
    return user


def assert_same(a: UserFeatures, b: UserFeatures) -> None:
    one, other = a.state(1, START_US + 500 * DAY_US), b.state(1, START_US + 500 * DAY_US)
    for name in ("history_keys", "history_times", "history_types", "history_values", "seen_keys", "hidden_keys"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "history_values"), name
    exact = [k for k, slot in enumerate(SCHEMA.slots) if not slot.half_life_days]
    assert np.array_equal(a.slots[0, exact], b.slots[0, exact])
    assert np.allclose(a.slots, b.slots, rtol=1e-9, atol=1e-12)
    assert a.state_time == b.state_time


@settings(deadline=None)
@given(histories, st.randoms(), st.lists(st.integers(0, 40), max_size=4))
def test_any_order_and_any_batches_end_as_a_sorted_replay(rows, random, cuts):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert_same(replayed(shuffled, cuts), replayed(sorted(rows)))


@settings(deadline=None)
@given(histories, st.integers(0, 40))
def test_storing_and_reading_back_changes_nothing(rows, cut):
    user = replayed(rows[:cut]) if rows[:cut] else UserFeatures.empty(SCHEMA)
    user.set_attributes({"plan": "paid"})
    read = UserFeatures.from_stored(SCHEMA, user.to_stored())
    for one in (user, read):
        if rows[cut:]:
            one.apply_columns(*columns(rows[cut:]))
    assert_same(user, read)
    assert np.array_equal(user.slots, read.slots)
    direct = state_of(SCHEMA, 1, user.to_stored(), START_US)
    state = user.state(1, START_US)
    for name in ("found", "applied_position"):
        assert getattr(direct, name) == getattr(state, name)
    for name in ("history_keys", "seen_keys", "hidden_keys", "dense"):
        assert np.array_equal(getattr(direct, name), getattr(state, name)), name


@settings(deadline=None, max_examples=50)
@given(st.lists(histories, min_size=1, max_size=4))
def test_many_users_at_once_equal_each_alone(users):
    together = [UserFeatures.empty(SCHEMA) for _ in users]
    rows = [(i, row) for i, mine in enumerate(users) for row in mine]
    apply_to_users(together, np.array([i for i, _ in rows]), *columns([row for _, row in rows]))
    for found, mine in zip(together, users, strict=True):
        assert_same(found, replayed(mine))


@settings(deadline=None)
@given(histories)
def test_a_decayed_sum_is_the_sum_of_what_each_event_is_worth_now(rows):
    keys, types, values, times = columns(rows)
    slots, state = accumulate(
        SCHEMA.slots, SCHEMA.empty_slots(1), np.zeros(1, np.int64), np.zeros(len(keys), np.int64), types, values, times
    )
    for k, slot in enumerate(SCHEMA.slots):
        if slot.half_life_days:
            amounts = slot.amounts(types, values, times)
            worth = np.nansum(amounts * 0.5 ** ((state[0] - times) / DAY_US / slot.half_life_days))
            assert slots[0, k] == pytest.approx(worth, rel=1e-9, abs=1e-12)


def test_the_history_keeps_the_newest_and_a_late_event_finds_its_place():
    rows = [(day * DAY_US, day + 1, 2, float("nan")) for day in range(HISTORY_LENGTH + 50)]
    user = replayed(rows)
    assert user.state(1, START_US).history_keys.tolist() == list(range(51, HISTORY_LENGTH + 51))
    user.apply_columns(*columns([(100 * DAY_US + 5, 999, 2, float("nan"))]))
    keys = user.state(1, START_US).history_keys.tolist()
    assert len(keys) == HISTORY_LENGTH
    assert keys[keys.index(999) - 1 : keys.index(999) + 2] == [101, 999, 102]
    user.apply_columns(*columns([(5, 777, 2, float("nan"))]))
    assert 777 not in user.state(1, START_US).history_keys
    assert 777 in user.state(1, START_US).seen_keys


def test_seen_items_are_more_than_the_history_and_bounded():
    rows = [(i, i + 1, 2, float("nan")) for i in range(SEEN_LENGTH + 5)]
    user = replayed(rows)
    assert len(user.state(1, START_US).seen_keys) == SEEN_LENGTH
    assert 5 not in user.state(1, START_US).seen_keys
    assert SEEN_LENGTH + 5 in user.state(1, START_US).seen_keys


def test_equal_times_keep_the_logs_order():
    rows = [(7, key, 2, float("nan")) for key in (3, 1, 2)]
    assert replayed(rows).state(1, START_US).history_keys.tolist() == [3, 1, 2]
    assert replayed(rows, cuts=[1, 2]).state(1, START_US).history_keys.tolist() == [3, 1, 2]


def test_types_without_item_count_but_enter_no_sequence():
    user = replayed([(5, 0, EVENT_TYPES["search"].code, float("nan"))])
    state = user.state(1, START_US)
    assert state.found
    assert len(state.history_keys) == 0
    assert len(state.seen_keys) == 0


BOUNDED = FeatureSchema.default(
    has_times=True, has_values=True, item_attributes={}, user_attributes={}, value_bounds={"rating": (1.0, 5.0)}
)


def of_kind(kind: str, *values: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full(len(values), EVENT_TYPES[kind].code, np.int64), np.array(values, np.float64)


def test_values_outside_what_training_saw_become_the_bound_and_those_of_other_types_none():
    assert BOUNDED.usable_values(*of_kind("rating", -1e12, 3.5, 1e6)).tolist() == [1.0, 3.5, 5.0]
    assert np.isnan(BOUNDED.usable_values(*of_kind("purchase", 249.0, 3.0))).all()
    assert np.isnan(BOUNDED.usable_values(*of_kind("rating", float("nan")))).all()
    assert SCHEMA.usable_values(*of_kind("purchase", 1e12)).tolist() == [1e12]
    valueless = FeatureSchema.default(has_times=True, has_values=False, item_attributes={}, user_attributes={})
    assert np.isnan(valueless.usable_values(*of_kind("rating", 4.0))).all()


def test_the_bounds_survive_json_and_a_schema_of_before_them_reads_without():
    raw = json.loads(json.dumps(BOUNDED.to_json()))
    assert FeatureSchema.from_json(raw) == BOUNDED
    del raw["value_bounds"]
    assert FeatureSchema.from_json(raw).value_bounds is None
    assert FeatureSchema.from_json(raw).fingerprint() == BOUNDED.fingerprint()


@pytest.mark.parametrize(("kind", "wild", "usable"), [("rating", 1e6, 5.0), ("purchase", 249.0, float("nan"))])
def test_a_wild_value_leaves_a_user_and_an_item_as_the_usable_one_does(kind, wild, usable):
    code = np.array([EVENT_TYPES[kind].code])
    found = []
    for value in (wild, usable):
        user, item = UserFeatures.empty(BOUNDED), ItemFeatures.empty(BOUNDED, 2)
        user.apply_columns(np.array([7]), code, np.array([value]), np.array([START_US]))
        item.apply_many(np.array([1]), code, np.array([value]), np.array([START_US]))
        found.append((user.state(1, START_US), item.dense(START_US)))
    (a, item_a), (b, item_b) = found
    assert np.array_equal(a.history_values, b.history_values, equal_nan=True)
    assert np.array_equal(a.dense, b.dense)
    assert np.array_equal(item_a, item_b)


def test_counters_stored_without_bounds_are_read_within_them():
    unbounded = UserFeatures.empty(SCHEMA)
    unbounded.apply_columns(np.array([7]), *of_kind("purchase", 1e12), np.array([START_US]))
    stored = unbounded.to_stored()
    dense = state_of(BOUNDED, 1, stored, START_US).dense
    assert dense[BOUNDED.user_dense_names.index("mean_value")] == 5.0


def test_other_weights_are_another_schema_and_their_counters_are_never_mixed() -> None:
    def schema(**weights: float) -> FeatureSchema:
        return FeatureSchema.default(
            has_times=True, has_values=True, item_attributes={}, user_attributes={}, event_weights=weights
        )

    plain, heavy, heavier = schema(), schema(purchase=9.0), schema(purchase=10.0)
    assert schema(purchase=3.0).fingerprint() == plain.fingerprint()
    assert len({plain.fingerprint(), heavy.fingerprint(), heavier.fingerprint()}) == 3
    assert FeatureSchema.from_json(json.loads(json.dumps(heavy.to_json()))) == heavy
    assert "event_weights" not in plain.to_json()
    code = np.array([EVENT_TYPES["purchase"].code])
    states = {}
    for name, kind in {"plain": plain, "heavy": heavy}.items():
        user = UserFeatures.empty(kind)
        user.apply_columns(np.array([1]), code, np.array([np.nan]), np.array([DAY_US]))
        states[name] = user.to_stored()
    weighs = [slot.name for slot in plain.slots].index("weight_30d")
    assert states["plain"]["counters_state"][weighs] == 3.0
    assert states["heavy"]["counters_state"][weighs] == 9.0
    again = UserFeatures.from_stored(heavy, states["heavy"])
    assert again.slots[0, weighs] == 9.0
    for stored, read in (("plain", heavy), ("heavy", plain), ("heavy", heavier)):
        anew = UserFeatures.from_stored(read, states[stored])
        assert np.array_equal(anew.slots, read.empty_slots(1))
        assert anew.to_stored()["history_keys"].tolist() == [1]


def test_the_fingerprint_of_a_schema_without_other_weights_is_what_it_was() -> None:
    assert BOUNDED.fingerprint() == "e8dbd92efb073938"


def test_a_type_of_a_policys_own_changes_no_counter_that_a_model_reads() -> None:
    user = replayed([(1, 5, 40, float("nan")), (2, 6, EVENT_TYPES["click"].code, float("nan"))])
    alone = replayed([(2, 6, EVENT_TYPES["click"].code, float("nan"))])
    assert np.array_equal(user.slots, alone.slots)


def test_what_was_skipped_is_kept_by_time_and_the_oldest_is_forgotten() -> None:
    skip = EVENT_TYPES["skip"].code
    times = [*range(250, 0, -1), 999]
    user = replayed([(time, 1000 + time, skip, float("nan")) for time in times])
    stored = user.to_stored()
    times = stored["lowered_times"] - START_US
    assert times.tolist() == [*range(52, 251), 999]
    assert stored["lowered_keys"].tolist() == [1000 + time for time in times.tolist()]
    assert len(stored["history_keys"]) == len(stored["seen_keys"]) == 0
    again = UserFeatures.from_stored(SCHEMA, stored).state(1, 10)
    assert again.lowered_types.tolist() == [skip] * 200


def test_texts_are_kept_by_time_the_newest_shortened_and_those_of_negative_types_are_not() -> None:
    def said(text: str, time_us: int, kind: str = "search") -> Event:
        return Event(1, 0 if kind == "search" else 5, kind, time_us, text=text)

    user = UserFeatures.empty(SCHEMA)
    for time_us in (5, 1, 9, 3, 7, 2, 8, 4, 6, 10):
        user.apply(said(f"t{time_us}", time_us))
    user.apply(said("awful", 11, "dislike"))
    user.apply(said("x" * 5000, 12, "comment"))
    state = user.state(1, 20)
    assert state.texts == (*((n, f"t{n}") for n in range(4, 11)), (12, "x" * 200))
    again = UserFeatures.from_stored(SCHEMA, user.to_stored())
    assert again.state(1, 20).texts == state.texts == state_of(SCHEMA, 1, user.to_stored(), 20).texts
    other = UserFeatures.empty(SCHEMA)
    other.apply(said("from the tablet", 11))
    other.absorb(again)
    assert other.state(1, 20).texts[-2:] == ((11, "from the tablet"), (12, "x" * 200))
