"""The trained ranker as ONNX, checked against torch before anything is published."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penchant.bundle import ModelSpec
from penchant.errors import BundleMismatch, ConfigError
from penchant.ranking import Inputs
from penchant.sessions import open_session
from penchant.types import Matrix
from training.export import Feed, export_model, with_golden
from training.ranking.compression.int8 import TOLERANCE, to_int8
from training.ranking.samples import Samples
from training.ranking.served import ServedRanker
from training.ranking.train import TrainedRanker

RANKER_FILE = "ranker/ranker.onnx"
FLOAT_FILE = "warm/ranker.onnx"
"""Of a ranker that serves whole numbers, what they were made of: a later training puts its weights there."""
FARTHEST = 0.5
"""Scores of whole numbers may be off by so much, relative above 1: more is no rounding."""
CANDIDATE_INPUTS = ("rows", "item_dense", "retrieval", "pair_dense")
USER_INPUTS = ("history_rows", "history_types", "history_signals", "user_dense")


def export_ranker(
    trained: TrainedRanker, known_NK: Matrix, feeds: Sequence[Inputs], folder: Path, file: str
) -> ModelSpec:
    """Write folder/file and its golden rows. known_NK: what is known of the bundle's items, by row.

    feeds: real requests as ranker_inputs gives them, two candidates or more in the first. Raises BundleMismatch where
    ONNX Runtime differs from torch by more than 1e-4, ConfigError where there is no such request.
    """
    served = ServedRanker(trained.model, known_NK, trained.outputs)
    chosen = ranker_feeds(feeds)
    return export_model(served, chosen, dict.fromkeys(CANDIDATE_INPUTS, "candidates"), "scores", folder, file)


def write_ranker(
    trained: TrainedRanker, int8: bool, known_NK: Matrix, feeds: Sequence[Inputs], folder: Path
) -> ModelSpec:
    """export_ranker's graph as RANKER_FILE, or in whole numbers there and itself as FLOAT_FILE. Raises as it does."""
    if not int8:
        return export_ranker(trained, known_NK, feeds, folder, RANKER_FILE)
    return in_whole_numbers(
        folder, export_ranker(trained, known_NK, feeds, folder, FLOAT_FILE), ranker_feeds(feeds)
    )  # fmt: skip


def in_whole_numbers(folder: Path, spec: ModelSpec, feeds: Sequence[Feed]) -> ModelSpec:
    """RANKER_FILE of the float graph of a spec, which loses its golden rows. Raises BundleMismatch above FARTHEST."""
    to_int8(folder / spec.file, feeds, folder / RANKER_FILE)
    served = ModelSpec(RANKER_FILE, spec.inputs, spec.outputs, "", TOLERANCE)
    exact, rounded = open_session(folder, spec), open_session(folder, served)
    for feed in feeds:
        wanted = exact(feed)
        worst = float((np.abs(rounded(feed) - wanted) / np.maximum(np.abs(wanted), 1.0)).max(initial=0.0))
        if not worst <= FARTHEST:
            raise BundleMismatch(
                f"{RANKER_FILE}: in whole numbers it differs by {worst:.2g}, at most {FARTHEST} is allowed: nothing "
                "published; set compress = False in the ranking recipe"
            )
    (folder / spec.golden).unlink()
    return with_golden(folder, served, feeds[0], rounded(feeds[0]))


def ranker_feeds(feeds: Sequence[Inputs]) -> list[Feed]:
    """The inputs that the ranker takes, in the order it takes them. Raises ConfigError where there is no request."""
    if not feeds:
        raise ConfigError("no request has two items to rank between: the data set is too small to train on")
    names = (*USER_INPUTS, *CANDIDATE_INPUTS)
    return [{name: np.asarray(feed[name]) for name in names} for feed in feeds]


def feeds_of(samples: Samples, features_NF: Matrix, count: int = 6, candidates: int = 64) -> list[Inputs]:
    """A few of the samples' requests as ranker_inputs gives them, and one of a single candidate."""
    able = np.flatnonzero((samples.weights > 0).sum(axis=1) >= 2)
    feeds = []
    for i in able[np.unique(np.linspace(0, max(len(able) - 1, 0), count).astype(np.int64))] if len(able) else []:
        used = np.flatnonzero(samples.weights[i] > 0)[:candidates]
        feeds.append(samples.inputs(int(i), used, features_NF))
    if feeds:
        one = {name: feeds[0][name][:1] for name in CANDIDATE_INPUTS}
        feeds.append({**feeds[0], **one})
    return feeds
