"""Which bundle answers, and which policy."""

import os
from pathlib import Path

import pytest

from penchant.errors import ConfigError, ServiceUnavailable, UnknownBundle
from services.recommender.versions import BundleChoice
from services.runtime.policy_file import PolicyFile

POLICY = "format = 1\n[placements.default]\n"


async def test_the_newest_that_everyone_holds_is_chosen() -> None:
    async def retrieval() -> tuple[str, ...]:
        return ("b3", "b2")

    async def ranking() -> tuple[str, ...]:
        return ("b2", "b1")

    choice = BundleChoice(lambda: ("b3", "b2"), {"candidate_gen": retrieval, "ranker": ranking})
    await choice.poll()
    assert choice.versions() == ("b2",)


async def test_a_leaf_that_does_not_answer_is_left_out() -> None:
    async def dead() -> tuple[str, ...]:
        raise ServiceUnavailable("down")

    async def alive() -> tuple[str, ...]:
        return ("b1",)

    choice = BundleChoice(lambda: ("b2", "b1"), {"candidate_gen": dead, "ranker": alive})
    await choice.start()
    assert choice.versions() == ("b1",)
    await choice.stop()


async def test_without_a_shared_bundle_the_own_ones_are_tried() -> None:
    async def behind() -> tuple[str, ...]:
        return ("b0",)

    choice = BundleChoice(lambda: ("b2", "b1"), {"ranker": behind})
    await choice.poll()
    assert choice.versions() == ("b2", "b1")


def test_no_bundle_is_said_with_the_remedy() -> None:
    with pytest.raises(UnknownBundle, match="python -m training fit"):
        BundleChoice(lambda: ()).versions()


def test_a_changed_policy_comes_into_force_and_a_bad_one_does_not(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    policy = PolicyFile(path, lambda: now[0])
    first = policy.current().version
    path.write_text(POLICY + "max_candidates = 7\n")
    assert policy.current().version == first
    now[0] = 2.0
    assert policy.current().placement("").max_candidates == 7
    path.write_text(POLICY + "max_candidates = 0\n")
    os.utime(path, ns=(5, 5))
    now[0] = 4.0
    assert policy.current().placement("").max_candidates == 7
    assert "max_candidates" in policy.refused
    path.unlink()
    now[0] = 6.0
    assert policy.current().placement("").max_candidates == 7


def test_a_missing_policy_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        PolicyFile(tmp_path / "none.toml", lambda: 0.0)
