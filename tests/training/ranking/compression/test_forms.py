"""The form that is served: as small as it may be, the same after an interruption, and told with what it cost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_requests import RECIPE, SCHEMA, TASKS, item_features, known, requests, trained

from training.checkpoint import Checkpoints
from training.ranking.compression.forms import Form, Judging, forms_of, smallest
from training.ranking.samples import Samples
from training.ranking.train import TrainedRanker
from training.run import Run

BIG = replace(RECIPE, members=2, epochs=3, student_epochs=2)
TRAIN, VALID = requests(200, 0, "user"), requests(40, 1, "user")
Tell = Callable[[str, float], None]


@pytest.fixture(scope="module")
def whole() -> TrainedRanker:
    return trained(BIG, TRAIN, VALID)


def forms(whole: TrainedRanker, run: Run | None = None, tell: Tell = lambda step, done: None) -> list[Form]:
    return forms_of(
        whole, BIG, TRAIN, VALID, item_features(), known(), SCHEMA, list(TASKS), 0, tell, run or Run()
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(whole: TrainedRanker) -> list[Form]:
    return forms(whole)


def judging(valid: Samples) -> Judging:
    asked = np.arange(len(valid))
    return Judging(valid, asked, asked, item_features(), known(), {"engage": 1.0})


def test_the_smallest_that_loses_little_is_taken_and_the_others_are_told(made: list[Form]) -> None:
    assert [form.recipe.members for form in made] == [2, 1, 1]
    assert made[-1].recipe.hidden == BIG.hidden // 2
    form, table = smallest(made, judging(VALID), most_lost=0.01)
    names = [tried["form"] for tried in table["tried"]]
    assert len(names) == 6
    assert form.name == table["taken"]
    within = [tried["form"] for tried in table["tried"] if tried["lost"] <= 0.01]
    assert form.name == within[-1]
    assert form.int8 == form.name.endswith("int8")
    assert all(tried["ms"] > 0 and tried["lost_low"] <= tried["lost"] <= tried["lost_high"] for tried in table["tried"])


def test_where_nothing_was_held_back_to_judge_by_it_stays_as_trained(made: list[Form]) -> None:
    nobody = replace(judging(VALID), asked=np.empty(0, np.int64))
    assert smallest(made, nobody, most_lost=1.0)[0].name == "as trained"


def test_a_student_that_was_interrupted_ends_in_the_same_weights(
    whole: TrainedRanker, made: list[Form], tmp_path: Path
) -> None:
    told: list[str] = []

    def interrupts(step: str, done: float) -> None:
        told.append(step)
        if step == "ranker, pruned" and done > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forms(whole, Run(checkpoints=Checkpoints(tmp_path, 0.0)), interrupts)
    told.clear()
    again = forms(whole, Run(checkpoints=Checkpoints(tmp_path, 0.0)), lambda step, done: told.append(step))
    assert "ranker, distilled" not in told
    for one, other in zip(again, made, strict=True):
        for name, value in other.trained.model.state_dict().items():
            assert torch.equal(one.trained.model.state_dict()[name], value), name
