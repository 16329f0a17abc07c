"""The bytes of values, without Feast: tests/contract holds them against the SDK."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.errors import ConfigError
from services.feature_store import varint
from services.feature_store.column import Column, Status, pack_parts, unpack_parts
from services.feature_store.feast_values import (
    decode_columns,
    decode_row,
    decode_timestamp,
    encode_column,
    encode_timestamps,
)

int64s = st.integers(-(2**63), 2**63 - 1)
ELEMENTS = {
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": int64s,
    "float32": st.floats(width=32, allow_nan=False),
    "float64": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "string": st.text(max_size=8),
    "bytes": st.binary(max_size=8),
    "unix_timestamp": int64s,
}


@given(st.lists(int64s))
def test_integers_survive_their_bytes(values):
    encoded, offsets = varint.encode(np.array(values, np.int64))
    assert varint.decode(encoded).tolist() == values
    assert offsets[-1] == len(encoded)
    for value, start, end in zip(values, offsets[:-1], offsets[1:], strict=True):
        assert varint.decode(encoded[start:end]).tolist() == [value]
        if value >= 0:
            assert varint.one(value) == encoded[start:end]
            assert varint.read_one(encoded, int(start)) == (value, end)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_columns_of_every_type_are_decoded_together(data):
    count = data.draw(st.integers(0, 4))
    dtypes = data.draw(st.lists(st.sampled_from([*ELEMENTS, *(f"{e}[]" for e in ELEMENTS)]), max_size=5))
    cells = []
    for dtype in dtypes:
        element = ELEMENTS[dtype.removesuffix("[]")]
        cell = st.lists(element, max_size=4) if dtype.endswith("[]") else element
        cells.append(data.draw(st.lists(st.none() | cell, min_size=count, max_size=count)))
    raw = [encode_column(Column.of(dtype, mine)) for dtype, mine in zip(dtypes, cells, strict=True)]
    found = decode_columns(dtypes, dtypes, raw, Status.NOT_FOUND)
    for dtype, mine, column in zip(dtypes, cells, found, strict=True):
        assert len(column) == count
        for got, expected in zip(column.cells(), mine, strict=True):
            if got is None or expected is None:
                assert got is expected
            else:
                assert (got.tolist() if isinstance(got, np.ndarray) else got) == expected, dtype
    for i in range(count):
        for got, column in zip(decode_row(dtypes, dtypes, [mine[i] for mine in raw]), found, strict=True):
            np.testing.assert_array_equal(got, column.cell(i))
            assert type(got) is type(column.cell(i))


def test_a_field_never_written_has_the_status_asked_for():
    (column,) = decode_columns(["int64"], ["v:f"], [[None, b"", b"\x20\x05", b"\x98\x01\x00"]], Status.NOT_FOUND)
    assert column.statuses.tolist() == [Status.NOT_FOUND, Status.NULL, Status.PRESENT, Status.NULL]
    assert column.values.tolist() == [0, 0, 5, 0]


@pytest.mark.parametrize("raw", [b"\x29" + bytes(8), b"\x72\x02\x08\x05"])
def test_bytes_of_another_type_are_refused_by_name(raw):
    dtype = "int64" if raw[0] == 0x29 else "int64[]"
    with pytest.raises(ConfigError, match="v:f"):
        decode_columns([dtype], ["v:f"], [[raw]], Status.NULL)
    with pytest.raises(ConfigError, match="v:f"):
        decode_row([dtype], ["v:f"], [raw])


@given(st.lists(st.integers(-(2**50), 2**52), min_size=1))
def test_timestamps_survive_to_the_microsecond(times):
    assert [decode_timestamp(raw) for raw in encode_timestamps(times)] == times


@given(st.lists(st.binary(max_size=10)))
def test_parts_survive_their_packing(parts):
    assert unpack_parts(pack_parts(parts)) == parts


def test_nan_in_a_scalar_is_null_and_infinity_is_not():
    column = Column.of("float32", [math.nan, math.inf])
    assert column.statuses.tolist() == [Status.NULL, Status.PRESENT]
    assert encode_column(column) == [b"", b"\x35" + np.float32(np.inf).tobytes()]
