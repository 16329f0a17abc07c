"""The policy file: defaults, overrides, and refusals that name the field."""

import pytest

from penchant.errors import ConfigError
from penchant.events import BUILT_IN
from penchant.policy import Placement, check_succession, read_policy

LEAST = "format = 1\n[placements.default]\n"


def test_a_placement_says_only_what_differs() -> None:
    policy = read_policy(
        LEAST + 'max_candidates = 100\n[placements.home]\nselector = "mmr"\nsources = ["popular"]\n'
    )  # fmt: skip
    assert policy.placement("home") == Placement("mmr", max_candidates=100, sources=("popular",))
    assert policy.placement("nowhere") == Placement(max_candidates=100)


def test_the_version_is_the_texts_checksum() -> None:
    assert read_policy(LEAST).version == read_policy(LEAST).version
    assert read_policy(LEAST).version != read_policy(LEAST + "# changed\n").version


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "format"),
        ("format = 2", "format"),
        ("not toml", "TOML"),
        ("format = 1", "placements.default"),
        (LEAST + "selector = 'best'", "placements.default.selector"),
        (LEAST + "trade_off = 1.5", "placements.default.trade_off"),
        (LEAST + "trade_off = nan", "placements.default.trade_off"),
        (LEAST + "max_candidates = 0", "placements.default.max_candidates"),
        (LEAST + "max_candidates = true", "placements.default.max_candidates"),
        (LEAST + "deadline_ms = '5'", "placements.default.deadline_ms"),
        (LEAST + "sources = ['magic']", "placements.default.sources"),
        (LEAST + "sources = 5", "placements.default.sources"),
        (LEAST + "speed = 5", "placements.default.speed"),
        (LEAST + "[other]", "other"),
        ("format = 1\nplacements = 3", "placements.default"),
        (LEAST + "[placements]\nx = 3", "placements.x"),
        (LEAST + "[event_types.like]\nhides = true", "event_types.like.hides is not known; known are: weight"),
        (LEAST + "[event_types.like]\nweight = 'much'", "event_types.like.weight"),
        (LEAST + "[event_types.bookmark]", "event_types.bookmark.code is None, give a whole number from 32 to 255"),
        (LEAST + "[event_types.bookmark]\ncode = 3", "event_types.bookmark.code is 3"),
        (LEAST + "[event_types.bookmark]\ncode = 256", "event_types.bookmark.code is 256"),
        (LEAST + "[event_types.a]\ncode = 40\n[event_types.b]\ncode = 40", "event_types.b.code is 40, which is a's"),
        (LEAST + "[event_types.bookmark]\ncode = 32\nin_history = 1", "event_types.bookmark.in_history is 1"),
        (LEAST + "[event_types.bookmark]\ncode = 32\nin_history = true\nhides = true", "one of the two"),
        (LEAST + "[event_types.bookmark]\ncode = 32\nweight = 1000", r"in \[-100.0, 100.0\]"),
        (LEAST + "[event_types.'Book mark']\ncode = 32", "at most 64 of a-z"),
        (LEAST + "[event_types]\nbookmark = 32", "event_types.bookmark is 32, give a table"),
    ],
)
def test_a_bad_policy_is_refused_by_field(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_policy(text)


BOOKMARK = "[event_types.bookmark]\ncode = 32\nweight = 1.5\nin_history = true\n"


def test_event_types_are_the_built_in_ones_reweighted_and_the_policys_own() -> None:
    kinds = read_policy(LEAST + BOOKMARK + "[event_types.purchase]\nweight = 5\n").event_types
    assert kinds.weights[[4, 32]].tolist() == [5.0, 1.5]
    assert kinds.by_name["purchase"].code == BUILT_IN.by_name["purchase"].code
    assert 32 in kinds.in_history
    assert read_policy(LEAST).event_types.by_name == BUILT_IN.by_name


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ("", "event_types.bookmark is gone.*retired = true"),
        (BOOKMARK.replace("32", "33"), "event_types.bookmark.code is 33, it was 32"),
        (BOOKMARK.replace("in_history", "hides"), "event_types.bookmark.in_history is False, it was True"),
    ],
)
def test_what_a_type_means_stays(later: str, said: str) -> None:
    before = read_policy(LEAST + BOOKMARK).event_types
    with pytest.raises(ConfigError, match=said):
        check_succession(before, read_policy(LEAST + later).event_types)


def test_a_weight_may_change_and_a_type_may_retire() -> None:
    before = read_policy(LEAST + BOOKMARK).event_types
    after = read_policy(LEAST + BOOKMARK.replace("1.5", "-2") + "retired = true\n").event_types
    check_succession(before, after)
    assert after.by_name["bookmark"].retired
