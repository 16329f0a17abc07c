"""Which moments ranking learns from: none that retrieval's first stage has seen, none that is held out."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from training.data.split import history_mask, split
from training.ranking.recipe import RankingRecipe
from training.ranking.requests import hold_back, sample_of_users, slates_between

if TYPE_CHECKING:
    from tests.training.ranking.conftest import Tiny


def test_the_slice_follows_what_the_first_stage_sees_and_precedes_the_held_out(tiny: "Tiny") -> None:
    times = tiny.dataset.events.times
    assert times[tiny.held.before].max() <= times[tiny.held.train].min()
    assert times[tiny.held.train].max() <= times[tiny.held.valid].min()
    assert times[tiny.held.valid].max() <= times[tiny.cut.held_out].min()
    assert history_mask(tiny.dataset)[tiny.held.train].all()


def test_slates_are_whole_and_lie_in_their_part(tiny: "Tiny") -> None:
    events = tiny.dataset.events
    assert tiny.held.slates_train
    for slate in tiny.held.slates_train:
        assert len(np.unique(events.users[slate])) == 1
        assert (np.diff(events.slate_positions[slate]) > 0).all()
        assert np.isin(slate, tiny.cut.train).all()
        assert not np.isin(slate, tiny.held.before).any()


def test_leave_one_out_holds_back_each_users_newest_events(tiny: "Tiny") -> None:
    cut = split(tiny.dataset, "leave-one-out")
    held = hold_back(tiny.dataset, cut, RankingRecipe(slice_items=2), 0)
    events, history = tiny.dataset.events, history_mask(tiny.dataset)
    assert not np.isin(held.before, np.concatenate([held.train, held.valid, cut.test])).any()
    for user in np.unique(events.users[held.train]):
        mine = held.train[events.users[held.train] == user]
        older = held.before[history[held.before] & (events.users[held.before] == user)]
        assert len(mine) <= 2 <= len(older)
        assert events.times[older].max() <= events.times[mine].min()


def test_a_sample_takes_whole_users_but_no_one_is_most_of_it(tiny: "Tiny") -> None:
    events = np.flatnonzero(history_mask(tiny.dataset))
    chosen = sample_of_users(tiny.dataset, events, 100, seed=1)
    assert len(chosen) == 100
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(tiny.dataset.events.users[chosen]).max() <= 10
    again = sample_of_users(tiny.dataset, events, 100, seed=1)
    assert chosen.tolist() == again.tolist()


def test_slates_of_some_events_are_those_whose_items_were_all_shown_in_them(tiny: "Tiny") -> None:
    everything = np.arange(len(tiny.dataset.events))
    whole = slates_between(tiny.dataset, everything, len(everything), 0)
    # In the middle of a slate, too: of one that is cut nothing may be left.
    for first in (0, int(whole[len(whole) // 2][1]), int(whole[-1][-1]), len(everything)):
        expected = {tuple(slate.tolist()) for slate in whole if (slate >= first).all()}
        found = slates_between(tiny.dataset, everything[first:], len(everything), 0)
        assert {tuple(slate.tolist()) for slate in found} == expected


def test_a_set_without_exposures_has_no_slates(tiny: "Tiny") -> None:
    bare = dataclasses.replace(tiny.dataset.events, impressions=None)
    held = hold_back(dataclasses.replace(tiny.dataset, events=bare), tiny.cut, tiny.recipe, 0)
    assert held.slates_train == held.slates_valid == []
