"""What a ranker costs where it serves: exported, and run on a real request of as many candidates as are retrieved."""

import tempfile
import time
from pathlib import Path

import numpy as np

from penchant.sessions import open_session
from training.ranking.compare.collected import Collected
from training.ranking.export import CANDIDATE_INPUTS, export_ranker, feeds_of
from training.ranking.train import TrainedRanker

_RUNS = 100


def serving_ms(found: Collected, trained: TrainedRanker) -> tuple[int, float]:
    """Candidates of the request, and the median of its runs in ONNX Runtime on one thread; parity checked first."""
    book = found.books["requests"]
    feeds = feeds_of(book.samples, book.features, candidates=book.samples.rows.shape[1])
    with tempfile.TemporaryDirectory() as folder:
        spec = export_ranker(trained, found.known["requests"], feeds, Path(folder), "ranker.onnx")
        session = open_session(Path(folder), spec)
        request = max(feeds, key=lambda feed: len(feed[CANDIDATE_INPUTS[0]]))
        inputs = {tensor.name: request[tensor.name] for tensor in spec.inputs}
        taken = []
        for _ in range(_RUNS):
            started = time.perf_counter()
            session(inputs)
            taken.append(time.perf_counter() - started)
    return len(request["rows"]), float(np.median(taken) * 1e3)
