"""The policy file: defaults, overrides, and refusals that name the field."""

import pytest

from penchant.errors import ConfigError
from penchant.policy import Placement, read_policy

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
    ],
)
def test_a_bad_policy_is_refused_by_field(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_policy(text)
