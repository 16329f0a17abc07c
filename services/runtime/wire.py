"""Value types that several services speak, as protobuf messages and back: packed little-endian columns."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from penchant.errors import InvalidArgument
from penchant.item_table import ItemChange
from penchant.leaves import Candidates, Condition, UserState
from penchant.v1 import candidate_pb2, feature_pb2

MAX_CONDITIONS = 32
MAX_VALUES = 256


def pack(array: NDArray[Any], dtype: DTypeLike) -> bytes:
    """Little-endian bytes of an array."""
    return np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes()


def unpack(data: bytes, dtype: DTypeLike, field: str) -> NDArray[Any]:
    """A read-only array over the bytes. Raises InvalidArgument where they are no whole number of elements."""
    kind = np.dtype(dtype).newbyteorder("<")
    if len(data) % kind.itemsize:
        raise InvalidArgument(field, f"{len(data)} bytes are no whole number of {kind.name} values")
    return np.frombuffer(data, kind)


def user_state_to_proto(user: UserState) -> feature_pb2.UserState:
    """A user's state."""
    return feature_pb2.UserState(
        user_key=user.user_key,
        status=feature_pb2.FEATURE_STATUS_PRESENT if user.found else feature_pb2.FEATURE_STATUS_NOT_FOUND,
        history_keys=pack(user.history_keys, np.int64),
        history_times=pack(user.history_times, np.int64),
        history_types=pack(user.history_types, np.int64),
        history_values=pack(user.history_values, np.float32),
        seen_keys=pack(user.seen_keys, np.int64),
        hidden_keys=pack(user.hidden_keys, np.int64),
        dense=pack(user.dense, np.float32),
        applied_position=user.applied_position,
        merged_from=user.merged_from,
        lowered_keys=pack(user.lowered_keys, np.int64),
        lowered_times=pack(user.lowered_times, np.int64),
        lowered_types=pack(user.lowered_types, np.int64),
        texts=[text for _, text in user.texts],
        text_times=pack(np.array([time_us for time_us, _ in user.texts]), np.int64) if user.texts else b"",
    )


def user_state_from_proto(message: feature_pb2.UserState, field: str = "user") -> UserState:
    """Back from user_state_to_proto. Raises InvalidArgument for columns that are not aligned."""
    keys = unpack(message.history_keys, np.int64, f"{field}.history_keys")
    times = unpack(message.history_times, np.int64, f"{field}.history_times")
    types = unpack(message.history_types, np.int64, f"{field}.history_types")
    values = unpack(message.history_values, np.float32, f"{field}.history_values")
    for name, column in (("times", times), ("types", types), ("values", values)):
        if len(column) != len(keys):
            raise InvalidArgument(f"{field}.history_{name}", f"{len(column)} values for {len(keys)} history_keys")
    lowered = [
        unpack(getattr(message, f"lowered_{name}"), np.int64, f"{field}.lowered_{name}")
        for name in ("keys", "times", "types")
    ]
    for name, column in zip(("times", "types"), lowered[1:], strict=True):
        if len(column) != len(lowered[0]):
            raise InvalidArgument(f"{field}.lowered_{name}", f"{len(column)} values for {len(lowered[0])} lowered_keys")
    text_times = unpack(message.text_times, np.int64, f"{field}.text_times")
    if len(text_times) != len(message.texts):
        raise InvalidArgument(f"{field}.text_times", f"{len(text_times)} values for {len(message.texts)} texts")
    return UserState(
        message.user_key,
        message.status == feature_pb2.FEATURE_STATUS_PRESENT,
        keys,
        times,
        types,
        values,
        unpack(message.seen_keys, np.int64, f"{field}.seen_keys"),
        unpack(message.hidden_keys, np.int64, f"{field}.hidden_keys"),
        unpack(message.dense, np.float32, f"{field}.dense"),
        message.applied_position,
        lowered[0],
        lowered[1],
        lowered[2],
        tuple(zip(text_times.tolist(), message.texts, strict=True)),
        message.merged_from,
    )


def candidates_to_proto(candidates: Candidates) -> candidate_pb2.CandidateBlock:
    """A block of candidates."""
    return candidate_pb2.CandidateBlock(
        count=len(candidates.rows),
        rows=pack(candidates.rows, np.uint32),
        scores=pack(candidates.scores, np.float32),
        source_bits=pack(candidates.source_bits, np.uint32),
        features=pack(candidates.features, np.float32),
        source_names=candidates.source_names,
        keys=pack(candidates.keys, np.int64),
    )


def candidates_from_proto(message: candidate_pb2.CandidateBlock, field: str = "candidates") -> Candidates:
    """Back from candidates_to_proto. Raises InvalidArgument for columns that are not `count` long."""
    count = message.count
    rows = unpack(message.rows, np.uint32, f"{field}.rows")
    scores = unpack(message.scores, np.float32, f"{field}.scores")
    bits = unpack(message.source_bits, np.uint32, f"{field}.source_bits")
    features = unpack(message.features, np.float32, f"{field}.features")
    keys = unpack(message.keys, np.int64, f"{field}.keys")
    for name, column in (("rows", rows), ("scores", scores), ("source_bits", bits)):
        if len(column) != count:
            raise InvalidArgument(f"{field}.{name}", f"{len(column)} values, but count is {count}")
    if len(keys) not in (0, count):
        raise InvalidArgument(f"{field}.keys", f"{len(keys)} values, but count is {count}: give one a row, or none")
    if count == 0 or len(features) % count:
        if len(features):
            raise InvalidArgument(
                f"{field}.features", f"{len(features)} values are no whole rows of {count} candidates"
            )
        width = 0
    else:
        width = len(features) // count
    return Candidates(rows, scores, bits, features.reshape(count, width), tuple(message.source_names), keys)


def conditions_to_proto(conditions: Sequence[Condition]) -> candidate_pb2.ItemFilter:
    """Attribute conditions as a filter."""
    return candidate_pb2.ItemFilter(
        conditions=[
            candidate_pb2.AttributeCondition(
                attribute=c.attribute, any_of=c.any_of, minimum=c.minimum, maximum=c.maximum, negate=c.negate
            )
            for c in conditions
        ]
    )


def conditions_from_proto(message: candidate_pb2.ItemFilter, field: str = "filter") -> tuple[Condition, ...]:
    """Conditions of a filter. Raises InvalidArgument beyond the bounds the proto states."""
    if len(message.conditions) > MAX_CONDITIONS:
        raise InvalidArgument(f"{field}.conditions", f"{len(message.conditions)} conditions, at most {MAX_CONDITIONS}")
    return tuple(_condition(c, f"{field}.conditions[{i}]") for i, c in enumerate(message.conditions))


def _condition(message: candidate_pb2.AttributeCondition, field: str) -> Condition:
    if not message.attribute:
        raise InvalidArgument(f"{field}.attribute", "is empty: name an attribute of the items")
    if len(message.any_of) > MAX_VALUES:
        raise InvalidArgument(f"{field}.any_of", f"{len(message.any_of)} values, at most {MAX_VALUES}")
    minimum = message.minimum if message.HasField("minimum") else None
    maximum = message.maximum if message.HasField("maximum") else None
    for name, bound in (("minimum", minimum), ("maximum", maximum)):
        if bound is not None and bound != bound:
            raise InvalidArgument(f"{field}.{name}", "is NaN: give a number")
    if not message.any_of and minimum is None and maximum is None:
        raise InvalidArgument(field, "says nothing: give any_of, minimum or maximum")
    return Condition(message.attribute, tuple(message.any_of), minimum, maximum, message.negate)


def item_change_to_proto(change: ItemChange) -> feature_pb2.ItemChange:
    """One change of the item table."""
    return feature_pb2.ItemChange(
        position=change.position,
        item_key=change.item_key,
        item_id=change.item_id,
        deleted=change.deleted,
        available=change.available,
        attributes_json=json.dumps(dict(change.attributes), sort_keys=True) if change.attributes else "",
        created_us=change.created_us,
    )


def item_change_from_proto(message: feature_pb2.ItemChange) -> ItemChange:
    """Back from item_change_to_proto; attributes that are no JSON object are none."""
    try:
        attributes = json.loads(message.attributes_json or "{}")
    except ValueError:
        attributes = {}
    return ItemChange(
        message.position,
        message.item_key,
        message.item_id,
        message.deleted,
        message.available,
        attributes if isinstance(attributes, dict) else {},
        message.created_us,
    )
