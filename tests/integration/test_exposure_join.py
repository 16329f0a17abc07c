"""What was shown, logged by a real stack, joined to what came of it: the replay reads what the ranker read."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.bundle import current
from penchant.ids import key
from penchant.writes import EventWrite
from training.evaluation.offline import open_bundle
from training.learning.exposures import ExposureJournal, Join, join, outcomes_of, samples_of, skew
from training.learning.journal import Journal
from training.learning.reading import LogFollower
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Stage
from training.ranking.tasks import tasks_of

USERS = [f"user {n}" for n in range(12)]
START = datetime(2026, 1, 1, tzinfo=UTC)
FAR = 2**62


@pytest.fixture(scope="module")
def world(start_stack: Any, new_redis: Callable[[], str]) -> tuple[Path, Journal, ExposureJournal, dict[str, str]]:
    """Users click, are shown a slate, click its third item or nothing, and click on; the last one's is an evaluation.

    Bundles, journal, exposures, and recommendation ids by user.
    """
    stack = start_stack("standalone", new_redis(), exposure_features_rate="1.0")
    client = stack.client()
    asked = {}
    for n, user in enumerate(USERS):
        at = START + timedelta(hours=n)
        before = [
            EventWrite(user_id=user, item_id=f"i{(5 * n + 2 * k) % 60}", event_type=("click", "hide")[k == 5],
                       event_time=at + timedelta(minutes=k))
            for k in range(n)
        ]  # fmt: skip
        if before:
            client.write_events(before)
        slate = client.recommend_items(8, user_id=user, as_of=at + timedelta(hours=20))
        assert not slate.degraded_stages
        asked[user] = slate.recommendation_id
        after = [EventWrite(user_id=user, item_id="i1", event_type="click", event_time=at + timedelta(hours=22))]
        if n % 3:
            third = slate.items[2].item_id
            after.append(
                EventWrite(
                    user_id=user, item_id=third, event_type="click", recommendation_id=slate.recommendation_id,
                    position=2, event_time=at + timedelta(hours=20, minutes=1),
                    context={"evaluation": "1"} if n == 11 else {},
                )
            )  # fmt: skip
        client.write_events(after)
    stack.supervisor.stop()
    journal = Journal(None)
    follower = LogFollower(str(stack.folder / "log"))
    follower.read(journal)
    exposures = ExposureJournal(stack.folder / "exposures")
    exposures.read()
    return stack.bundles, journal, exposures, asked


def joined(world: tuple[Path, Journal, ExposureJournal, dict[str, str]]) -> Join:
    _, journal, exposures, _ = world
    return join(journal, journal.view(), exposures.held, 0, FAR)


def test_only_slates_that_events_which_may_train_echo_are_joined(world: Any) -> None:
    _, _, exposures, _ = world
    assert len(exposures.held) == len(USERS)
    users = {shown.user_key for shown in joined(world).slates}
    assert users == {key("", user) for n, user in enumerate(USERS) if n % 3 and n != 11}


def test_logged_rows_and_the_replay_agree(world: Any) -> None:
    bundles, _, _, _ = world
    folder = current(bundles)
    assert folder is not None
    found = joined(world)
    count, worst = skew(open_bundle(folder), found)
    assert count == len(found)
    assert worst < 1e-5


def test_a_replay_by_time_instead_of_by_log_position_would_differ(world: Any) -> None:
    bundles, _, _, _ = world
    folder = current(bundles)
    assert folder is not None
    found = joined(world)
    # As if everything that was written until now had been known.
    later = tuple(shown.__class__(**{**_fields(shown), "applied_through": FAR}) for shown in found.slates)
    count, worst = skew(open_bundle(folder), Join(found.view, later, found.users))
    # The clicked item counts as seen then, and is not even proposed.
    assert count == 0 or worst > 0.01


def test_what_was_acted_on_is_a_positive_and_the_rest_of_the_slate_negative(world: Any) -> None:
    bundles, journal, _, _ = world
    found = joined(world)
    tasks = tasks_of(journal.view().dataset)
    assert [task.name for task in tasks] == ["click"]
    for labels in outcomes_of(found, tasks):
        assert labels[:, 0].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    folder = current(bundles)
    assert folder is not None
    bundle = open_bundle(folder)
    stage = Stage(bundle.schema, bundle.table, bundle.retrieval, bundle.tower)
    (samples,) = samples_of(found, stage, tasks, RankingRecipe(), 100, 0)
    assert len(samples) == len(found)
    known = ~np.isnan(samples.labels[..., 0])
    assert known.sum(axis=1).tolist() == [8] * len(found)
    assert np.nansum(samples.labels[..., 0], axis=1).tolist() == [1.0] * len(found)
    assert (samples.chosen == -1).all()


def test_exposures_are_read_on_and_let_go(world: Any) -> None:
    _, _, exposures, _ = world
    again = ExposureJournal(exposures.folder, exposures.positions)
    assert again.read() == len(USERS)
    again.forget(FAR)
    assert again.held == []
    assert ExposureJournal(exposures.folder, again.positions).read() == 0
    assert ExposureJournal(None).read() == 0


def _fields(shown: Any) -> dict[str, Any]:
    return {name: getattr(shown, name) for name in shown.__slots__}
