"""What a benchmark leaves: a table for people, a plot, a file, and one JSON line for programs."""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.stand import say
from penchant.text_table import text_table

Numbers = Sequence[float] | NDArray[np.float64]
Series = tuple[str, Numbers, Numbers]
"""A label, x and y."""


def machine() -> dict[str, Any]:
    """Where the figures are from, and how busy it was besides."""
    load = os.getloadavg()
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in load],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def finish(name: str, out: Path, found: Mapping[str, Any], rows: Sequence[tuple[str, Any, str]]) -> None:
    """Show the rows (what, figure, what it is held against), write NAME.json, print it as the last line."""
    whole = {"benchmark": name, **found, "machine": machine()}
    say("\n" + text_table((name, "measured", "bar"), [(what, _shown(figure), bar) for what, figure, bar in rows]))
    text = json.dumps(whole)
    (out / f"{name}.json").write_text(text + "\n")
    print(text, flush=True)


def plot(path: Path, panels: Sequence[tuple[str, str, str, Sequence[Series], str]]) -> None:
    """Panels one below the other: (title, x label, y label, series, style of matplotlib's plot)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(panels), 1, figsize=(9, 3.2 * len(panels)), squeeze=False)
    for axis, (title, x_label, y_label, series, style) in zip(axes[:, 0], panels, strict=True):
        for label, x, y in series:
            axis.plot(x, y, style, label=label, markersize=2)
        axis.set(title=title, xlabel=x_label, ylabel=y_label)
        axis.grid(alpha=0.3)
        if len(series) > 1:
            axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    say(f"plot: {path}")


def cumulative(values: Numbers) -> tuple[list[float], list[float]]:
    """Sorted values and the share at or below each, thinned to at most 2,000 points."""
    ordered = np.sort(np.asarray(values, np.float64)).tolist()
    step = max(len(ordered) // 2000, 1)
    kept = list(range(0, len(ordered), step)) + ([len(ordered) - 1] if ordered else [])
    return [ordered[i] for i in kept], [(i + 1) / len(ordered) for i in kept]


def _shown(figure: Any) -> str:
    if figure is None:
        return "-"
    if isinstance(figure, float):
        return f"{figure:,.3f}" if abs(figure) < 100 else f"{figure:,.0f}"
    return f"{figure:,}" if isinstance(figure, int) and not isinstance(figure, bool) else str(figure)
