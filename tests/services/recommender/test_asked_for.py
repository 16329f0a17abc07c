"""A search lifts what is like it over the ranker's scores, and leaves retrieval order, which holds it, alone."""

from dataclasses import replace
from typing import Any

import numpy as np

from penchant.content import content_vectors
from penchant.leaves import UserState


async def test_the_rankers_scores_are_lifted_and_retrieval_order_is_not(world: Any) -> None:
    for catalogue in world.catalogues.values():
        content = content_vectors([[], *(["harbour"] if row == 3 else [] for row in range(1, 21))])
        object.__setattr__(catalogue.table.content, "base", content)
    ranked = (await world.door.recommend(world.query("ann"), None)).rows.tolist()
    state = UserState(world.query("ann").user_key, True)
    as_of_us = world.query().as_of_us
    world.store.users[state.user_key] = replace(state, texts=((as_of_us, "harbour"),))
    assert ranked[0] == 20
    slate = await world.door.recommend(world.query("ann"), None)
    assert slate.rows.tolist()[:2] == [3, 20]
    old = replace(world.query("ann"), as_of_us=as_of_us + 31 * 60 * 1_000_000)
    assert (await world.door.recommend(old, None)).rows.tolist() == ranked
    unranked = await world.door.recommend(world.query("ann", ranked=False), None)
    assert unranked.rows.tolist() == [1, 2, 3, 4, 5]
    assert np.isfinite(slate.scores).all()
