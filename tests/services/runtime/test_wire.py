"""What crosses the wire comes back as it was; what cannot be read is refused with its field."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from penchant.errors import InvalidArgument
from penchant.item_table import ItemChange
from penchant.leaves import Candidates, Condition, UserState
from penchant.v1 import candidate_pb2, feature_pb2
from services.runtime.wire import (
    candidates_from_proto,
    candidates_to_proto,
    conditions_from_proto,
    conditions_to_proto,
    item_change_from_proto,
    item_change_to_proto,
    unpack,
    user_state_from_proto,
    user_state_to_proto,
)

INT64 = st.integers(-(2**63), 2**63 - 1)


def same(one: Any, other: Any) -> bool:
    for name in one.__dataclass_fields__:
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, np.ndarray):
            if a.shape != b.shape or a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                return False
        elif a != b:
            return False
    return True


@given(data=st.data(), count=st.integers(0, 5), key=INT64, found=st.booleans(), position=st.integers(0, 2**62))
def test_a_user_comes_back(data: st.DataObject, count: int, key: int, found: bool, position: int) -> None:
    def ints(length: int) -> Any:
        return data.draw(arrays.arrays(np.int64, length, elements=INT64))

    floats = arrays.arrays(np.float32, count, elements=st.floats(width=32, allow_nan=True))
    user = UserState(
        key, found, ints(count), ints(count), ints(count), data.draw(floats), ints(3), ints(1),
        np.array([1.5, np.nan], np.float32), position, ints(2), ints(2), ints(2),
        tuple(data.draw(st.lists(st.tuples(INT64, st.text(max_size=9)), max_size=3))), data.draw(INT64),
    )  # fmt: skip
    message = feature_pb2.UserState.FromString(user_state_to_proto(user).SerializeToString())
    assert same(user_state_from_proto(message), user)


@given(count=st.integers(0, 4), width=st.integers(0, 3), with_keys=st.booleans())
def test_candidates_come_back(count: int, width: int, with_keys: bool) -> None:
    rng = np.random.default_rng(count)
    block = Candidates(
        rng.integers(1, 2**32, count).astype(np.uint32), rng.random(count, np.float32),
        rng.integers(0, 2**32, count).astype(np.uint32), rng.random((count, width if count else 0), np.float32),
        ("a", "b"), rng.integers(-9, 9, count) if with_keys else np.empty(0, np.int64),
    )  # fmt: skip
    message = candidate_pb2.CandidateBlock.FromString(candidates_to_proto(block).SerializeToString())
    assert same(candidates_from_proto(message), block)


def test_conditions_come_back() -> None:
    conditions = (
        Condition("genre", ("a", "b")),
        Condition("price", minimum=0.0),
        Condition("price", maximum=-1.5, negate=True),
    )
    assert conditions_from_proto(conditions_to_proto(conditions)) == conditions
    assert conditions_from_proto(candidate_pb2.ItemFilter()) == ()


def test_item_changes_come_back_and_odd_attributes_are_none() -> None:
    change = ItemChange(7, -3, "id", True, False, {"genre": ["a"], "price": 2.5, "title": "T"}, 9)
    assert item_change_from_proto(item_change_to_proto(change)) == change
    for text in ("no json", "[1, 2]", "3"):
        assert item_change_from_proto(feature_pb2.ItemChange(position=1, attributes_json=text)).attributes == {}


@pytest.mark.parametrize(
    ("conditions", "field"),
    [
        ([{"attribute": "a", "any_of": ["x"]}] * 33, "filter.conditions"),
        ([{"attribute": "a", "any_of": ["x"] * 257}], "filter.conditions[0].any_of"),
        ([{"attribute": "a", "any_of": ["x"]}, {"attribute": "b"}], "filter.conditions[1]"),
        ([{"attribute": "a", "maximum": float("nan")}], "filter.conditions[0].maximum"),
    ],
)
def test_a_filter_beyond_its_bounds_is_refused(conditions: list[Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        conditions_from_proto(candidate_pb2.ItemFilter(conditions=conditions))
    assert caught.value.field == field


@given(st.binary(max_size=40))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    if len(data) % 8:
        with pytest.raises(InvalidArgument, match=r"^column: .* no whole number of int64 values"):
            unpack(data, np.int64, "column")
    else:
        assert unpack(data, np.int64, "column").tobytes() == data


@given(st.binary(max_size=200))
def test_any_message_of_a_block_is_read_or_refused(data: bytes) -> None:
    try:
        message = candidate_pb2.CandidateBlock.FromString(data)
    except Exception:
        return
    try:
        block = candidates_from_proto(message)
    except InvalidArgument:
        return
    assert len(block.rows) == len(block.scores) == len(block.features) == message.count
