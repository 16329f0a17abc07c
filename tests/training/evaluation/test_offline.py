"""Slates from a bundle, without a server."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penchant.errors import BundleMismatch
from penchant.events import EVENT_TYPES, Event
from penchant.features import UserFeatures
from penchant.ids import key
from training.data.dataset import Dataset
from training.data.split import split
from training.evaluation.classical import CLASSICAL
from training.evaluation.metrics import LIST_LENGTH, ndcg, ranks
from training.evaluation.offline import MASKS, Slates, evaluate_offline, open_bundle, top_k, top_lists
from training.evaluation.protocol import TargetSet, target_set, timelines

Publish = Callable[[str], Path]


def run(
    dataset: Dataset, bundles: Path, protocol: str, index: str = "exact", **options: int
) -> tuple[Slates, dict[str, str], TargetSet]:
    cut = split(dataset, protocol)
    targets = target_set(dataset, cut)
    bundle = open_bundle(bundles / f"{dataset.name}-1", index)
    slates, missing = evaluate_offline(bundle, dataset, cut, targets, **options)
    return slates, missing, targets


def test_every_system_gives_full_lists_without_repeats(walks: Dataset, published_bundle: Publish) -> None:
    slates, missing, targets = run(walks, published_bundle("time-split"), "time-split")
    assert set(missing) == {"trees"}
    for mask in MASKS:
        assert set(slates[mask]) == {"ranked", "retrieval", "co_visitation", "popularity", *CLASSICAL}
        for lists in slates[mask].values():
            assert lists.shape == (len(targets), LIST_LENGTH)
            for row in lists:
                shown = row[row > 0]
                assert len(np.unique(shown)) == len(shown)
                assert (row[len(shown) :] == 0).all()


def test_masked_lists_hold_no_seen_item_and_no_list_a_hidden_one(walks: Dataset, published_bundle: Publish) -> None:
    bundles = published_bundle("time-split")
    slates, _, targets = run(walks, bundles, "time-split")
    table = open_bundle(bundles / "walks-1", "exact").table
    events = walks.events
    for line in timelines(walks, targets):
        for i, at in enumerate(line.target_at):
            before = line.events[:at]
            names = [walks.event_types[t] for t in events.types[before]]
            items = [key("", walks.item_ids[j]) for j in events.items[before]]
            seen = {k for k, n in zip(items, names, strict=True) if EVENT_TYPES[n].in_history}
            hidden = {k for k, n in zip(items, names, strict=True) if EVENT_TYPES[n].hides}
            for mask, forbidden in (("masked", seen | hidden), ("unmasked", hidden)):
                for lists in slates[mask].values():
                    row = lists[line.first_target + i]
                    assert not forbidden & set(table.keys_of(row[row > 0].astype(np.uint32)).tolist())


def test_incremental_replay_gives_the_state_that_a_replay_from_the_start_gives(walks: Dataset) -> None:
    """Each target's user is what the events before it make, no matter in how many steps they were applied."""
    from penchant.features import FeatureSchema
    from training.evaluation.offline import _apply
    from training.evaluation.protocol import event_columns

    schema = FeatureSchema.default(has_times=True, has_values=False, item_attributes={}, user_attributes={})
    columns = event_columns(walks)
    targets = target_set(walks, split(walks, "time-split"))
    line = max(timelines(walks, targets), key=lambda one: len(one.target_at))
    stepwise, applied = UserFeatures.empty(schema), 0
    for at in line.target_at.tolist():
        _apply(stepwise, columns, line.events[applied:at])
        applied = at
    whole = UserFeatures.empty(schema)
    for i in line.events[:applied].tolist():
        event_type = walks.event_types[walks.events.types[i]]
        whole.apply(Event(1, int(columns.item_keys[i]), event_type, int(columns.times[i]), float(columns.values[i])))
    as_of = int(columns.times[line.events[applied]])
    a, b = stepwise.state(1, as_of), whole.state(1, as_of)
    assert a.history_keys.tolist() == b.history_keys.tolist()
    assert a.seen_keys.tolist() == b.seen_keys.tolist()
    assert a.hidden_keys.tolist() == b.hidden_keys.tolist()
    np.testing.assert_allclose(a.dense, b.dense, rtol=1e-6)


def test_the_walk_is_found_by_retrieval_and_not_by_popularity(walks: Dataset, published_bundle: Publish) -> None:
    bundles = published_bundle("time-split")
    slates, _, targets = run(walks, bundles, "time-split")
    rows = open_bundle(bundles / "walks-1", "exact").table.rows_of(targets.item_keys).astype(np.int64)
    found = {s: ndcg(ranks(lists, rows), 10).mean() for s, lists in slates["unmasked"].items()}
    assert found["co_visitation"] > 0.2
    assert found["retrieval"] > 2 * found["popularity"]


def test_hnsw_and_exact_search_agree_on_a_small_catalogue(walks: Dataset, published_bundle: Publish) -> None:
    bundles = published_bundle("leave-one-out")
    exact, _, _ = run(walks, bundles, "leave-one-out", index="exact")
    hnsw, _, _ = run(walks, bundles, "leave-one-out", index="hnsw")
    for mask in MASKS:
        assert (exact[mask]["retrieval"] == hnsw[mask]["retrieval"]).mean() > 0.99


def test_the_ranker_orders_what_retrieval_proposes(walks: Dataset, published_bundle: Publish) -> None:
    slates, _, _ = run(walks, published_bundle("leave-one-out"), "leave-one-out", max_candidates=LIST_LENGTH)
    ranked, retrieved = slates["unmasked"]["ranked"], slates["unmasked"]["retrieval"]
    assert (np.sort(ranked) == np.sort(retrieved)).all()
    assert (ranked != retrieved).any()


def test_what_a_user_searched_for_rises_and_what_they_skipped_sinks_as_in_serving(
    walks: Dataset, published_bundle: Publish
) -> None:
    bundles = published_bundle("time-split")
    events = replace(walks.events, times=np.arange(len(walks.events)) * 10_000_000)
    plain = replace(walks, events=events)
    skipping = replace(plain, event_types=["skip", "click", "hide"])
    words = np.array(["western" if t == 0 else "" for t in events.types], object)
    searching = replace(plain, events=replace(events, texts=words))
    before, _, targets = run(plain, bundles, "time-split")
    skipped, *_ = run(skipping, bundles, "time-split")
    searched, *_ = run(searching, bundles, "time-split")
    table = open_bundle(bundles / "walks-1", "exact").table
    western = np.flatnonzero(table.tags["genre"].rows_with(["western"]))
    last_viewed = np.zeros(len(targets), np.int64)
    for line in timelines(plain, targets):
        for i, at in enumerate(line.target_at):
            views = [e for e in line.events[:at] if events.types[e] == 0]
            if views:
                last = key("", walks.item_ids[events.items[views[-1]]])
                last_viewed[line.first_target + i] = table.rows_of(np.array([last]))[0]
    for system in ("ranked", "retrieval"):
        places = [ranks(slates["unmasked"][system], last_viewed)[last_viewed > 0] for slates in (before, skipped)]
        first, later = (np.where(place > 0, place, LIST_LENGTH + 1).mean() for place in places)
        assert later > first + 2
        share = [np.isin(slates["masked"][system][:, :10], western).mean() for slates in (before, searched)]
        assert share[1] > share[0] + 0.1


def test_scores_that_are_no_number_sink_and_ties_keep_their_order() -> None:
    scores = np.array([1.0, np.nan, 3.0, 1.0, np.inf, -np.inf], np.float32)
    assert top_k(scores, 4).tolist() == [2, 0, 3, 1]


def test_top_lists_leave_out_what_is_forbidden() -> None:
    scores = np.array([[-np.inf, 0.5, 0.5, 0.9, -np.inf]], np.float32)
    assert top_lists(scores)[0, :5].tolist() == [3, 1, 2, 0, 0]


def test_a_damaged_bundle_is_refused(walks: Dataset, published_bundle: Publish) -> None:
    folder = published_bundle("leave-one-out") / "walks-1"
    with (folder / "retrieval" / "popular.scores.npy").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleMismatch, match="sha256"):
        open_bundle(folder)
