"""Pictures of an evaluation as SVG that takes its text colour and its fonts from the page it stands in."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

WIDTH_IN = 5.4
"""A telephone's width at one point a pixel, so that letters are readable there."""
_INK = "#010203"
"""Stands for currentColor, which matplotlib does not know."""
_COLOURS = {
    "ranked": "#3b82f6",
    "retrieval": "#0d9488",
    "trees": "#d97706",
    "popularity": "#db2777",
    "slate": "#8b5cf6",
}
_OTHER = "#8a94a3"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "font.size": 10, "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK,
    "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.6, "figure.facecolor": "none", "axes.facecolor": "none", "legend.frameon": False,
    "savefig.facecolor": "none",
}  # fmt: skip

Segment = Mapping[str, Any]


def colour(system: str) -> str:
    """The same for a system in every picture; baselines share grey."""
    return _COLOURS.get(system, _OTHER)


_SEGMENTS = {"first": "1st event", "2_to_5": "2nd to 5th", "6_to_20": "6th to 20th", "more": "21st and on"}


def said(name: str) -> str:
    """A system, segment or difference as people write it."""
    return _SEGMENTS.get(name) or name.replace("_minus_", " − ").replace("_", " ")


def bars(values: Mapping[str, float], label: str) -> str:
    """One bar a system, the longest on top."""
    order = sorted(values, key=lambda name: values[name])

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.barh([said(s) for s in order], [values[s] for s in order], color=[colour(s) for s in order], height=0.7)
        for i, system in enumerate(order):
            text = f"{values[system]:.4f}"
            axes.annotate(text, (values[system], i), (4, 0), textcoords="offset points", va="center", fontsize=9)
        axes.set_xlim(right=max(values.values(), default=0) * 1.18 or 1)
        axes.set_xlabel(label)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(left=False)

    return _svg(draw, 0.7 + 0.3 * len(order), "bars")


def intervals(differences: Mapping[str, tuple[float, float, float]], label: str) -> str:
    """Difference, lowest and highest by name, against a line at no difference; grey where the interval holds 0."""
    names = list(differences)[::-1]

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.axvline(0, color=_INK, linewidth=0.8)
        for i, name in enumerate(names):
            value, low, high = differences[name]
            shade = "#16a34a" if low > 0 else "#dc2626" if high < 0 else _OTHER
            axes.plot([low, high], [i, i], color=shade, linewidth=2.5, solid_capstyle="round")
            axes.plot([value], [i], "o", color=shade, markersize=6)
        axes.set_yticks(range(len(names)), [said(name) for name in names])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlabel(label)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(left=False)

    return _svg(draw, 0.8 + 0.32 * len(names), "intervals")


def segments(parts: Mapping[str, Segment], systems: Sequence[str], metric: str) -> str:
    """A line a system over the segments that hold a target."""
    names = [name for name, part in parts.items() if part["targets"]]

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for system in systems:
            values = [parts[name]["test"][system][metric] for name in names]
            axes.plot(range(len(names)), values, marker="o", color=colour(system), label=said(system), linewidth=1.8)
        axes.set_xticks(range(len(names)), [f"{said(n)}\n{parts[n]['targets']:,}" for n in names])
        axes.set_xlim(-0.3, len(names) - 0.7)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(metric.upper())
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=min(len(systems), 4), fontsize=9)

    return _svg(draw, 3.0, "segments " + " ".join(names))


def reliability(curves: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Predicted against observed, a panel a task on its own scale; the diagonal is honest."""
    wide = min(len(curves), 3)
    high = -(-len(curves) // 3)

    def draw(figure: Any) -> None:
        panels = figure.subplots(high, wide, squeeze=False).ravel()
        for axes in panels[len(curves) :]:
            axes.remove()
        for axes, (task, rows) in zip(panels, curves.items(), strict=False):
            top = max((max(row[0], row[1]) for row in rows), default=1.0) * 1.08 or 1.0
            axes.plot([0, top], [0, top], color=_INK, linewidth=0.8, linestyle=":")
            axes.plot([r[0] for r in rows], [r[1] for r in rows], "o-", markersize=4, color=_COLOURS["ranked"])
            axes.set(title=said(task), xlim=(0, top), ylim=(0, top), box_aspect=1)
            axes.locator_params(nbins=3)
        figure.supxlabel("predicted", fontsize=10)
        figure.supylabel("observed", fontsize=10)

    return _svg(draw, 0.5 + high * (5.0 / wide if wide > 1 else 3.2), "reliability")


def positions(places: Sequence[Mapping[str, Any]]) -> str:
    """Click-through rate by position on the slate, from 1, with intervals."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        at = [place["position"] + 1 for place in places]
        values = [place["value"] for place in places]
        spread = [
            [place["value"] - place["interval"][0] for place in places],
            [place["interval"][1] - place["value"] for place in places],
        ]
        axes.bar(at, values, color=_COLOURS["ranked"], width=0.7)
        axes.errorbar(at, values, [[max(v, 0) for v in side] for side in spread], fmt="none", ecolor=_INK, elinewidth=1)
        axes.set_xticks(at)
        axes.set(xlabel="position on the slate", ylabel="clicked")
        axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=0))

    return _svg(draw, 2.6, "positions")


def counts(by_value: Mapping[str, int], label: str) -> str:
    """How often each value was given."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.bar(list(by_value), list(by_value.values()), color=_COLOURS["retrieval"], width=0.7)
        axes.set(xlabel=label, ylabel="times")

    return _svg(draw, 2.2, "counts")


def _svg(draw: Callable[[Any], None], height_in: float, salt: str) -> str:
    """The picture as an <svg> element without sizes; equal input, equal text. salt keeps ids of pictures apart."""
    with pyplot.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = pyplot.figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        try:
            draw(figure)
            held = io.StringIO()
            figure.savefig(held, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        finally:
            pyplot.close(figure)
    text = held.getvalue()
    text = text[text.index("<svg") :]
    head, _, body = text.partition(">")
    view = head[head.index("viewBox=") :].split('"')[1]
    referred = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in referred else "", body)
    # Sizes are the page's business, and so is the font.
    body = body.replace(_INK, "currentColor").replace("'DejaVu Sans', ", "").replace("sans-serif", "inherit")
    return f'<svg viewBox="{view}" role="img" xmlns:xlink="http://www.w3.org/1999/xlink">{body.strip()}'
