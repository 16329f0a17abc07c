"""Bundles that betray themselves: each answer of such a one shows in three places which version made it.

Version v is a copy of a real bundle in which every item's id ends in "@v" (the front door's item table), every
retrieval score lies v steps higher (retrieval) and every task score too (the ranker). Order and cost stay those of the
real bundle.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from penchant.bundle import MANIFEST, read_manifest, sha256
from penchant.errors import ConfigError
from penchant.v1.recommender_service_pb2 import RecommendItemsResponse

STEP = 1000.0
_TREND_WEIGHT = 0.05
"""Where the real bundle has none."""
_IDS, _TREND = "items/ids.json", "retrieval/trend.scores.npy"


@dataclass(slots=True)
class MarkedBundles:
    """Copies of one bundle in a folder of bundles, unchanged files shared with it."""

    original: Path
    folder: Path
    prefix: str
    _weight: float | None = None

    @property
    def trend_weight(self) -> float:
        """Of the trend in a copy's blend."""
        if self._weight is None:
            self._weight = float(read_manifest(self.original).retrieval["trend_weight"]) or _TREND_WEIGHT
        return self._weight

    def version(self, number: int) -> str:
        """Its name."""
        return f"{self.prefix}-{number:03d}"

    def make(self, number: int) -> str:
        """Write version `number`; its name. Raises ConfigError for a bundle that cannot be marked."""
        manifest, weight = read_manifest(self.original), self.trend_weight
        if "ranker" not in manifest.models:
            raise ConfigError(f"{self.original} has no ranker: give another bundle")
        name, spec = self.version(number), manifest.models["ranker"]
        target = self.folder / name
        changed = {_IDS, _TREND, spec.file, spec.golden} - {""}
        for file in manifest.files:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copyfile if file in changed else os.link)(self.original / file, target / file)
        ids = json.loads((target / _IDS).read_text())
        (target / _IDS).write_text(json.dumps([ids[0], *(f"{item}@{number}" for item in ids[1:])]))
        trend = np.load(target / _TREND)
        np.save(target / _TREND, (trend + STEP * number / weight).astype(np.float32))
        _raise_scores(target / spec.file, STEP * number)
        if spec.golden:
            golden = dict(np.load(target / spec.golden))
            golden["out:" + spec.outputs[0].name] += np.float32(STEP * number)
            np.savez(target / spec.golden, **golden)
        raw = json.loads((self.original / MANIFEST).read_text())
        raw["version"] = name
        raw["retrieval"]["trend_weight"] = weight
        raw["files"] |= {file: sha256(target / file) for file in changed}
        (target / MANIFEST).write_text(json.dumps(raw))
        return name

    def drop(self, number: int) -> None:
        """Remove a version's folder."""
        shutil.rmtree(self.folder / self.version(number), ignore_errors=True)

    def strays(self, answer: RecommendItemsResponse) -> list[str]:
        """Traces in an answer of any other version than the one it names; [] if all is well."""
        named = answer.versions.bundle
        prefix, _, digits = named.rpartition("-")
        if prefix != self.prefix or not digits.isdecimal():
            return [f"bundle {named}"]
        number, strays = int(digits), []
        # A user with a history has the trend in the blend by its weight, one without has the trend alone.
        raised = (STEP * number, STEP * number / self.trend_weight)
        for item in answer.items:
            if item.item_id.rpartition("@")[2] != str(number):
                strays.append(f"{named}: item {item.item_id}")
            if min(abs(item.retrieval_score - step) for step in raised) > STEP / 2:
                strays.append(f"{named}: retrieval score {item.retrieval_score:g}")
            strays += [
                f"{named}: {task} score {score:g}"
                for task, score in item.task_scores.items()
                if abs(score - raised[0]) > STEP / 2
            ]
        return strays


def _raise_scores(path: Path, by: float) -> None:
    """Add a constant to a model's one output."""
    model = onnx.load(path)
    name = model.graph.output[0].name
    for node in model.graph.node:
        for i, output in enumerate(node.output):
            if output == name:
                node.output[i] = "scores_before_the_mark"
        for i, used in enumerate(node.input):
            if used == name:
                node.input[i] = "scores_before_the_mark"
    model.graph.initializer.append(helper.make_tensor("mark", TensorProto.FLOAT, [1], [by]))
    model.graph.node.append(helper.make_node("Add", ["scores_before_the_mark", "mark"], [name]))
    onnx.save(model, path)
