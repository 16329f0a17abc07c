"""Every bound of the front door's protos, and what is said beyond it."""

import math
from typing import Any

import pytest

from penchant.errors import InvalidArgument
from penchant.leaves import Condition
from services.recommender import validate

NOW_US = 1_700_000_000_000_000


def refused(call: Any, *arguments: Any) -> str:
    with pytest.raises(InvalidArgument) as caught:
        call(*arguments)
    return caught.value.field


def test_ids_have_a_length_in_bytes_and_no_nul() -> None:
    validate.check_text("user_id", "é" * 128)
    assert refused(validate.check_text, "user_id", "é" * 129) == "user_id"
    assert refused(validate.check_text, "user_id", "a\0b") == "user_id"
    assert refused(validate.check_text, "item_id", "", 256, True) == "item_id"


def test_counts_are_one_to_a_thousand() -> None:
    validate.check_count("max_items", 1)
    validate.check_count("max_items", 1000)
    assert refused(validate.check_count, "max_items", 0) == "max_items"
    assert refused(validate.check_count, "max_items", 1001) == "max_items"


def test_lists_of_ids_have_a_most_and_name_the_bad_one() -> None:
    validate.check_ids("excluded_item_ids", ["i"] * 10_000, 10_000)
    validate.check_ids("excluded_item_ids", ["", "ü"], 10_000)
    assert refused(validate.check_ids, "excluded_item_ids", ["i"] * 10_001, 10_000) == "excluded_item_ids"
    assert refused(validate.check_ids, "excluded_item_ids", ["i", "x" * 257], 10) == "excluded_item_ids[1]"
    assert refused(validate.check_ids, "excluded_item_ids", ["a\0"], 10) == "excluded_item_ids[0]"
    assert refused(validate.check_ids, "excluded_item_ids", ["i", "é" * 200], 10) == "excluded_item_ids[1]"


def test_context_is_small() -> None:
    validate.check_context({f"k{i}": "v" * 256 for i in range(32)})
    assert refused(validate.check_context, {f"k{i}": "" for i in range(33)}) == "context"
    assert refused(validate.check_context, {"k": "v" * 257}) == "context['k']"
    assert refused(validate.check_context, {"k" * 257: "v"}) == "context"


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        (Condition("", ("x",)), "filter.conditions[0].attribute"),
        (Condition("year"), "filter.conditions[0].any_of"),
        (Condition("year", minimum=math.nan), "filter.conditions[0].minimum"),
        (Condition("year", maximum=math.inf), "filter.conditions[0].maximum"),
        (Condition("year", minimum=2.0, maximum=1.0), "filter.conditions[0].minimum"),
        (Condition("genre", tuple("x" * 257)), "filter.conditions[0].any_of"),
        (Condition("genre", ("x" * 257,)), "filter.conditions[0].any_of[0]"),
        (Condition("genre", ("a\0",)), "filter.conditions[0].any_of[0]"),
    ],
)
def test_conditions_are_bounded(condition: Condition, field: str) -> None:
    assert refused(validate.check_conditions, [condition]) == field


def test_there_are_at_most_32_conditions() -> None:
    one = Condition("genre", ("x",))
    validate.check_conditions([one] * 32)
    assert refused(validate.check_conditions, [one] * 33) == "filter.conditions"


def test_sources_are_known() -> None:
    validate.check_sources(["two_tower", "caller"])
    assert refused(validate.check_sources, ["two_tower", "magic"]) == "sources[1]"
    assert refused(validate.check_sources, ["popular"] * 100) == "sources"


def test_times_are_between_1970_and_five_minutes_ahead() -> None:
    assert validate.check_time("as_of", 5, 7000, NOW_US) == 5_000_007
    assert validate.check_time("as_of", 1_700_000_299, 0, NOW_US)
    for seconds, nanos in ((-1, 0), (5, -1), (5, 1_000_000_000), (1_700_000_301, 0), (1 << 60, 0)):
        assert refused(validate.check_time, "as_of", seconds, nanos, NOW_US) == "as_of"


def test_positions_do_not_run_below_zero() -> None:
    assert refused(validate.check_position, "token.position", -1) == "token.position"


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "/etc/passwd", "a\0", "x" * 100])
def test_time_zones_are_iana_names(name: str) -> None:
    validate.check_time_zone("Europe/Berlin")
    validate.check_time_zone("")
    assert refused(validate.check_time_zone, name) == "time_zone"
