"""The report of an evaluation: its JSON object as a page that people want to look at."""

from collections.abc import Mapping
from typing import Any

from training.evaluation import figures, html
from training.evaluation.figures import said
from training.evaluation.lists import LIST_METRICS
from training.evaluation.metrics import METRICS
from training.evaluation.probability import PROBABILITY_METRICS

_LOWER = ("gini@10", "genre_kl@10", "log_loss", "ece")
"""Metrics of which a small number is the good one."""
_LINES = ("ranked", "retrieval", "trees", "popularity")
"""Systems drawn over segments, where they ran."""
_SEGMENTS = {
    "user": (
        "By how much of a user is known",
        "Which event of its user the target is: before the first, nothing is known of them.",
    ),
    "item": (
        "By how popular the item is",
        "Head: the most popular items that hold the first fifth of the interactions; middle: up to four fifths; tail: "
        "the rest; cold: no interaction before the held-out part.",
    ),
}

Result = Mapping[str, Any]


def page_of(result: Result) -> str:
    """The whole page, of what evaluate() gives."""
    title = f"{result['dataset']}: what the slates are worth"
    return html.document(
        title,
        [
            html.heading(title, 1),
            html.paragraph(
                f"{result['protocol']}, {result['targets']:,} targets of {result['users']:,} users; bundle "
                f"{result['bundle']}" + (f", through {result['through']}" if result["through"] else ", offline"),
                "soft",
            ),
            _overview(result),
            *_accuracy(result),
            *_lists(result),
            *_segments(result),
            *_heads(result["heads"]),
            *_behaviour(result["behaviour"], "What people did with what they were shown"),
            *(
                _behaviour(result["served"], "What people did with the running stack's slates")
                if result["served"]
                else ()
            ),
            *_method(result),
        ],
    )


def _overview(result: Result) -> str:
    masked, lists = result["test"]["masked"], result["lists"]["masked"]
    ours = "ranked" if masked.get("ranked") else "retrieval"
    values = [
        ("HR@10: the next item is among the first ten", f"{masked[ours]['hr@10']:.4f}"),
        ("NDCG@10", f"{masked[ours]['ndcg@10']:.4f}"),
    ]
    popular = masked.get("popularity")
    if popular and popular["ndcg@10"]:
        values.append(("times popularity's NDCG@10", f"{masked[ours]['ndcg@10'] / popular['ndcg@10']:.1f}×"))
    values.append(("of the catalogue is shown to somebody", f"{100 * masked[ours]['coverage@10']:.1f} %"))
    if lists[ours]["serendipity@10"] is not None:
        values.append(("hits that neither popularity nor co-visitation had", f"{lists[ours]['serendipity@10']:.4f}"))
    return html.cards(values)


def _accuracy(result: Result) -> list[str]:
    masked = _ran(result["test"]["masked"])
    parts = [
        html.heading("Does it find what the user does next?"),
        html.paragraph("Each target is searched for in the whole catalogue; items the user has had are left out."),
        html.figure(figures.bars({s: m["ndcg@10"] for s, m in masked.items()}, "NDCG@10, masked"), "NDCG@10 by system"),
        _table(masked, METRICS),
        html.folded("The same with items the user has had", _table(_ran(result["test"]["unmasked"]), METRICS)),
    ]
    if result["paired"]:
        parts += [
            html.heading("Is the difference more than chance?", 3),
            html.paragraph(
                "95 % intervals by bootstrap over users. Where one holds 0 (grey), these targets do not tell which of "
                "the two is better."
            ),
            html.figure(
                figures.intervals(_differences(masked, result["paired"], "ndcg@10"), "difference in NDCG@10"),
                "Differences in NDCG@10 with their intervals",
            ),
            _paired_table(result["paired"]),
        ]
    return parts


def _differences(
    test: Mapping[str, Mapping[str, float]], paired: Mapping[str, Mapping[str, list[float]]], metric: str
) -> dict[str, tuple[float, float, float]]:
    found = {}
    for name, by_metric in paired.items():
        a, b = name.split("_minus_")
        low, high = by_metric[metric]
        found[name] = (test[a][metric] - test[b][metric], low, high)
    return found


def _paired_table(paired: Mapping[str, Mapping[str, list[float]]]) -> str:
    metrics = list(dict.fromkeys(metric for by_metric in paired.values() for metric in by_metric))
    rows, kinds = [], []
    for name, by_metric in paired.items():
        known = [by_metric.get(metric) for metric in metrics]
        rows.append([said(name), *("–" if one is None else f"{one[0]:+.4f} to {one[1]:+.4f}" for one in known)])
        kinds.append(["", *(_side(one, metric in _LOWER) for one, metric in zip(known, metrics, strict=True))])
    return html.table(["difference", *metrics], rows, kinds)


def _side(interval: list[float] | None, lower: bool) -> str:
    """Whether an interval is on the good or on the bad side of 0."""
    if interval is None or None in interval or interval[0] <= 0 <= interval[1]:
        return ""
    return "good" if (interval[0] > 0) != lower else "bad"


def _lists(result: Result) -> list[str]:
    lists = result["lists"]["masked"]
    by = f" Genre is {result['calibrated_by']}." if result["calibrated_by"] else ""
    return [
        html.heading("What are the lists like?"),
        html.paragraph(
            "Gini of exposure: 0 if all items are shown equally often, near 1 if a few have it all. Diversity: how "
            "unlike the items of one list are in content. Novelty: bits of self-information, one more being half as "
            "popular. Serendipity: hits that neither popularity nor co-visitation had. Genre divergence: how far the "
            f"list's shares of genres are from the user's history, 0 being the same.{by}"
        ),
        _plain_table(lists),
        _reasons(result["lists_left_out"]),
        html.folded("95 % intervals of the differences", _paired_table(result["lists_paired"])),
        html.folded("The same with items the user has had", _plain_table(result["lists"]["unmasked"])),
    ]


def _segments(result: Result) -> list[str]:
    parts = [html.heading("For whom, and on which items?")]
    for kind, found in result["segments"].items():
        title, meaning = _SEGMENTS[kind]
        names = [name for name, part in found.items() if part["targets"]]
        if not names:
            continue
        systems = [s for s in _LINES if s in found[names[0]]["test"]]
        rows = [(s, [found[n]["test"][s]["ndcg@10"] for n in names]) for s in found[names[0]]["test"]]
        columns = [f"{said(n)} ({found[n]['targets']:,})" for n in names]
        caption = f"NDCG@10, {title[0].lower()}{title[1:]}; below each segment its targets"
        empty = [said(name) for name in found if name not in names]
        parts += [
            html.heading(title, 3),
            html.paragraph(meaning),
            html.figure(figures.segments(found, systems, "ndcg@10"), caption),
            html.number_table("NDCG@10 (targets)", columns, [(said(s), v) for s, v in rows], [False] * len(names)),
            html.folded(
                "95 % intervals of the differences",
                "".join(
                    html.paragraph(f"{said(n)}: {found[n]['targets']:,} targets of {found[n]['users']:,} users")
                    + _paired_table(found[n]["paired"])
                    for n in names
                ),
            ),
            html.paragraph(f"No targets: {', '.join(empty)}.", "soft") if empty else "",
        ]
    return parts


def _heads(heads: Result) -> list[str]:
    parts = [
        html.heading("Are the predicted probabilities right?"),
        html.paragraph(
            "AUC: the chance that what happened scores above what did not. GAUC: the same within one user, which is "
            "all that ordering decides. Log loss: against that of the base rate. Calibration error (ECE, 15 bins of "
            "equal mass): how far what was predicted is from what happened. What slate, trees and retrieval order by "
            "is no probability of these tasks."
        ),
    ]
    for task, found in heads["tasks"].items():
        rows = [(said(s), [m[name] for name in PROBABILITY_METRICS]) for s, m in found["systems"].items()]
        parts += [
            html.heading(said(task), 3),
            html.paragraph(
                f"{found['rows']:,} rows of {found['users']:,} users, {found['positives']:,} positive; always "
                f"predicting that share has a log loss of {found['base_log_loss']:.4f}.",
                "soft",
            ),
            html.number_table("system", PROBABILITY_METRICS, rows, [name in _LOWER for name in PROBABILITY_METRICS]),
            html.table(
                ["difference in GAUC", "", "95 % interval"],
                [
                    [said(n), _signed(d["gauc"]), " to ".join(_signed(v) for v in d["interval"])]
                    for n, d in found["differences"].items()
                ],
                [["", "", _side(d["interval"], False)] for d in found["differences"].values()],
            ),
        ]
    if heads["tasks"]:
        curves = {task: found["reliability"] for task, found in heads["tasks"].items()}
        parts.append(html.figure(figures.reliability(curves), "Predicted and observed; the dotted line is honest"))
    return [*parts, _reasons(heads["left_out"])]


def _behaviour(found: Result, title: str) -> list[str]:
    values = []
    for name, label in (
        ("ctr", "of the impressions were clicked"),
        ("slates_clicked", "of the slates had a click"),
        ("conversion", "of the clicks led to a purchase"),
        ("retention_7d", "of the users came back within 7 days"),
        ("liked", "of the likes, dislikes and hides were likes"),
    ):
        if found[name] is not None:
            values.append((f"{label} ({_percent(found[name]['interval'])})", f"{100 * found[name]['value']:.1f} %"))
    if found["rating"] is not None:
        low, high = found["rating"]["interval"]
        values.append((f"mean rating ({low:.2f} to {high:.2f})", f"{found['rating']['value']:.2f}"))
    parts = [
        html.heading(title),
        html.paragraph(
            f"As logged in {found['of']}: {found['events']:,} events of {found['users']:,} users, "
            f"{found['impressions']:,} impressions. These figures describe the system that made the log; intervals are "
            "95 %, by bootstrap over users."
        ),
        html.cards(values) if values else "",
    ]
    if found["by_position"]:
        parts.append(html.figure(figures.positions(found["by_position"]), "Click-through rate by position"))
    if found["rating"] and found["rating"]["by_value"]:
        parts.append(html.figure(figures.counts(found["rating"]["by_value"], "rating"), "Ratings given"))
    return [*parts, _reasons(found["left_out"])]


def _method(result: Result) -> list[str]:
    held = ", ".join(f"{count:,} {name}" for name, count in result["counts"].items())
    bands = ", ".join(f"{count:,} {name}" for name, count in result["items_by_band"].items())
    rows = [
        ["data set", f"{result['dataset']}: {held}"],
        ["protocol", result["protocol"]],
        ["targets", f"{result['targets']:,}; {result['targets_outside_catalogue']:,} are not in the bundle: misses"],
        ["checksum of the targets", result["targets_sha256"]],
        ["bundle", f"{result['bundle']}, made {result['bundle_created']} by recipe {result['recipe']}"],
        ["seeds", f"{result['bundle_seed']} of the bundle, {result['seed']} of this evaluation"],
        ["items", f"{result['bundle_items']:,} in the bundle: {bands}"],
        ["served by", result["through"] or f"the same functions offline, index {result['index']}"],
        ["degraded answers", ", ".join(f"{k}: {v:,}" for k, v in result["degraded"].items()) or "none"],
        ["cost", f"{result['cpu_s']:.0f} s of CPU, {result['wall_s']:.0f} s"],
    ]  # fmt: skip
    return [
        html.heading("How this was measured"),
        html.preformatted(result["command"]),
        html.table(["", ""], rows, [["", "text"]] * len(rows)),
        _reasons(result["left_out"]),
        html.paragraph(
            "What each number means and what a good one is: docs/evaluation.md. The same numbers as JSON lie beside "
            "this page.",
            "soft",
        ),
    ]


def _plain_table(by_system: Mapping[str, Mapping[str, float | None]]) -> str:
    """Without a best: more diversity is not better in itself."""
    return html.number_table(
        "system", LIST_METRICS, [(said(s), [found[m] for m in LIST_METRICS]) for s, found in by_system.items()]
    )


def _table(by_system: Mapping[str, Mapping[str, float | None]], metrics: tuple[str, ...]) -> str:
    order = sorted(by_system, key=lambda s: -(by_system[s].get("ndcg@10") or 0.0))
    rows = [(said(s), [by_system[s][m] for m in metrics]) for s in order]
    return html.number_table("system", metrics, rows, [m in _LOWER for m in metrics])


def _reasons(left_out: Mapping[str, str]) -> str:
    """Why numbers are missing, a line a reason."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(reason, []).append(said(name))
    return html.listed([f"left out: {', '.join(some)}: {reason}" for reason, some in names.items()])


def _ran(by_system: Mapping[str, Any]) -> dict[str, Any]:
    return {system: found for system, found in by_system.items() if found is not None}


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"


def _percent(interval: list[float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"
