"""Samples are what serving would have read at the moment, and labels what came of it."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from penchant.features import UserFeatures
from penchant.ids import key, keys
from penchant.ranking import ranker_inputs
from training.evaluation.protocol import event_columns
from training.ranking.samples import Samples, collect
from training.ranking.tasks import outcomes, tasks_of

if TYPE_CHECKING:
    from tests.training.ranking.conftest import Tiny


@pytest.fixture(scope="module")
def whole(tiny: "Tiny") -> Samples:
    return collect(
        tiny.dataset, tiny.stage, tiny.held.train[:60], tiny.held.slates_train[:10], tiny.allowed,
        tasks_of(tiny.dataset), tiny.recipe, True, 0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tiny: "Tiny") -> Samples:
    recipe = dataclasses.replace(tiny.recipe, unmasked_share=0.0)
    return collect(
        tiny.dataset, tiny.stage, tiny.held.train[:60], [], tiny.allowed, tasks_of(tiny.dataset), recipe, False, 0
    )


def test_a_request_is_what_serving_computes_from_the_events_before_it(tiny: "Tiny", whole: Samples) -> None:
    columns, events, stage = event_columns(tiny.dataset), tiny.dataset.events, tiny.stage
    for at in range(0, len(whole), 13):
        event = whole.events[at]
        user = UserFeatures.empty(stage.schema)
        plan = tiny.dataset.users.categorical["plan"][events.users[event]]
        user.set_attributes({"plan": plan})
        mine = np.flatnonzero(events.users == events.users[event])
        mine = mine[np.lexsort((events.order[mine], events.times[mine]))]
        mine = mine[: int(np.flatnonzero(mine == event)[0])]
        user.apply_columns(columns.item_keys[mine], columns.types[mine], columns.values[mine], columns.times[mine])
        as_of_us = int(events.times[event])
        state = user.state(key("", tiny.dataset.user_ids[events.users[event]]), as_of_us)
        allowed = np.array(stage.table.allowed())
        allowed[stage.table.rows_of(state.seen_keys)] = False
        allowed[stage.table.rows_of(state.hidden_keys)] = False
        history = stage.table.rows_of(state.history_keys).astype(np.int64)
        candidates, _ = stage.retrieval.retrieve(history, allowed, tiny.recipe.candidates)
        inputs = ranker_inputs(
            state, candidates, stage.table, stage.schema, stage.retrieval.history_length, as_of_us
        )  # fmt: skip
        count = len(candidates.rows)
        assert whole.rows[at, :count].tolist() == candidates.rows.tolist()
        for name in ("history_rows", "history_types", "history_signals", "user_dense"):
            np.testing.assert_allclose(getattr(whole, name)[at], inputs[name][0], rtol=1e-5)
        np.testing.assert_allclose(whole.retrieval[at, :count], inputs["retrieval"], atol=1e-3)
        np.testing.assert_allclose(whole.pair_dense[at, :count], inputs["pair_dense"], atol=1e-5)


def test_the_chosen_candidate_is_the_event_that_followed(tiny: "Tiny", whole: Samples, drawn: Samples) -> None:
    item_rows = tiny.stage.table.rows_of(keys("", tiny.dataset.item_ids))
    for samples in (whole, drawn):
        found = np.flatnonzero(samples.chosen >= 0)
        assert len(found) > 20
        expected = item_rows[tiny.dataset.events.items[samples.events[found]]]
        assert samples.rows[found, samples.chosen[found]].tolist() == expected.tolist()


def test_no_candidate_was_seen_before(tiny: "Tiny", whole: Samples) -> None:
    for history, rows in zip(whole.history_rows, whole.rows, strict=True):
        assert not set(history[history > 0]) & set(rows[rows > 0])


def test_some_training_requests_may_propose_what_was_seen(tiny: "Tiny") -> None:
    recipe = dataclasses.replace(tiny.recipe, unmasked_share=0.5, hard_negatives=60)
    samples = collect(tiny.dataset, tiny.stage, tiny.held.train, [], tiny.allowed, [], recipe, False, 0)
    repeats = [
        bool(set(history[history > 0]) & set(rows[rows > 0]))
        for history, rows in zip(samples.history_rows, samples.rows, strict=True)
    ]
    assert 0.3 < np.mean(repeats) < 0.7


def test_kept_candidates_stand_for_all_that_were_served(tiny: "Tiny", whole: Samples, drawn: Samples) -> None:
    by_event = {int(e): w.sum() for e, w in zip(whole.events, whole.weights, strict=True)}
    for event, weights in zip(drawn.events, drawn.weights, strict=True):
        assert weights.sum() == pytest.approx(by_event[int(event)], rel=1e-4)


def test_exposures_are_labelled_by_the_acts_that_followed_within_the_allowed_events(tiny: "Tiny") -> None:
    events = tiny.dataset.events
    click = next(task for task in tasks_of(tiny.dataset) if task.name == "click")
    shown = np.concatenate(tiny.held.slates_train[:20])
    found = outcomes(tiny.dataset, click, shown, tiny.allowed)
    kind = np.array(tiny.dataset.event_types)[events.types]
    for exposure, label in zip(shown, found, strict=True):
        after = (events.users == events.users[exposure]) & (events.items == events.items[exposure]) & (kind == "click")
        after &= (events.times >= events.times[exposure]) & (events.times <= events.times[exposure] + 1_800_000_000)
        assert label == float(after.any())
    assert 0.1 < found.mean() < 0.9
    nothing = np.zeros(len(events), np.bool_)
    assert not outcomes(tiny.dataset, click, shown, nothing).any()


def test_value_tasks_are_known_of_rated_items_alone(tiny: "Tiny", whole: Samples) -> None:
    names = [task.name for task in tasks_of(tiny.dataset)]
    like, rating = whole.labels[..., names.index("like")], whole.labels[..., names.index("rating")]
    known = ~np.isnan(like)
    assert (known == ~np.isnan(rating)).all()
    assert ((rating[known] >= 4) == (like[known] == 1)).all()
    assert (known.sum(axis=1) <= 1).all()


def test_what_was_shown_says_at_which_place(tiny: "Tiny", whole: Samples) -> None:
    events, item_keys = tiny.dataset.events, tiny.stage.table.keys
    ids = event_columns(tiny.dataset).item_keys
    starts = {int(slate[0]): slate for slate in tiny.held.slates_train[:10]}
    shown = [at for at in range(len(whole)) if whole.chosen[at] < 0 and int(whole.events[at]) in starts]
    assert shown
    for at in shown:
        slate = starts[int(whole.events[at])]
        place = dict(zip(ids[slate].tolist(), events.slate_positions[slate].tolist(), strict=True))
        told = whole.positions[at] >= 0
        assert told.any()
        assert (told == ~np.isnan(whole.labels[at]).all(axis=1)).all()
        for row, position in zip(whole.rows[at][told], whole.positions[at][told], strict=True):
            assert place[int(item_keys[row])] == position
