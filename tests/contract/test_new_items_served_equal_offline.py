"""An item written to the running service stands where the measuring of lifts and of cold items takes it to stand."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from penchant.ids import key
from penchant.item_table import ItemChange
from training.catalogue import build_catalogue
from training.data.read import read_dataset
from training.recipes import resolve
from training.retrieval.fit import fit_retrieval
from training.retrieval.scoring import CatalogueScores, Targets
from training.retrieval.sequences import sequences


def test_the_blend_of_a_new_item_is_the_same_in_the_service_and_in_the_matrix(tiny_data: Path) -> None:
    dataset = read_dataset(tiny_data)
    before = np.arange(len(dataset.events))
    catalogue = build_catalogue(dataset, before, int(dataset.events.times.max()))
    fitted = fit_retrieval(dataset, catalogue, before, resolve("tiny", dataset).retrieval, seed=0)
    settings = replace(fitted.settings, tower_weight=0.4, trend_weight=0.1, new_lift=0.7)
    fitted = fitted.with_settings(settings)
    said = [{"title": "Thing of crime", "genres": ["crime"], "price": 7.0}, {"title": "Thing 9", "maker": "m2"}]
    changes = [ItemChange(i + 1, key("", f"n{i}"), f"n{i}", attributes=a) for i, a in enumerate(said)]
    table = catalogue.table(fitted.embeddings, np.zeros((catalogue.count + 1, 1), np.float32))
    table.apply(changes, table.content_of(changes), fitted.embed)
    model = fitted.model().over(table)

    histories = sequences(dataset, catalogue, before)
    users = np.flatnonzero(histories.lengths >= 5)[:10]
    starts = histories.indptr[users]
    targets = Targets(np.ones(len(users), np.int64), starts, starts + 5)
    scores = CatalogueScores(fitted, histories, targets)
    known = scores.score(slice(None), settings)
    offline = scores.as_new(scores.vectors @ fitted.item_map.placed(said).T, known, settings)
    for user, start in enumerate(starts.tolist()):
        history = histories.rows[start : start + 5]
        allowed = table.allowed()
        allowed[history] = False
        found, _ = model.retrieve(history, allowed, table.row_count)
        served = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
        np.testing.assert_allclose([served[catalogue.count + 1 + i] for i in range(2)], offline[user], atol=1e-3)
        some = found.rows[found.rows <= catalogue.count]
        np.testing.assert_allclose([served[row] for row in some.tolist()], known[user, some], atol=1e-3)
