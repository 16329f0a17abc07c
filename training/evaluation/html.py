"""A page in one file: sections, tables with bars in their cells, figures. No script, nothing fetched."""

from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6577; --paper: #ffffff; --line: #dde2ea; --card: #f5f7fa;
  --bar: #3b82f62e; --good: #15803d; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa5b8; --paper: #12161d; --line: #2b3340;
  --card: #1a2029; --bar: #3b82f64d; --good: #4ade80; --bad: #f87171; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .2rem 0; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .4rem;
  padding-top: .8rem; border-top: 1px solid var(--line); } h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; } .soft { color: var(--soft); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.card { background: var(--card); border-radius: .6rem; padding: .7rem .9rem; } .card b { display: block;
  font-size: 1.45rem; line-height: 1.25; font-variant-numeric: tabular-nums; } .card span { color: var(--soft);
  font-size: .85rem; }
.wide { overflow-x: auto; -webkit-overflow-scrolling: touch; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { padding: .32rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child { text-align: left; position: sticky;
  left: 0; background: var(--paper); } td.best { font-weight: 700; } td.text { text-align: left; white-space: normal;
  overflow-wrap: anywhere; min-width: 12rem; }
figure { margin: .8rem 0; max-width: 36rem; } figure svg { display: block; width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .85rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
code, pre { font: .85rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
pre { background: var(--card); border-radius: .6rem; padding: .7rem .9rem; white-space: pre-wrap; }
ul { padding-left: 1.2rem; margin: .4rem 0; } details { margin: .8rem 0; } summary { cursor: pointer; }
"""


def document(title: str, parts: Sequence[str]) -> str:
    """The whole page; parts are HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """A title of a section."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """Plain text; kind "soft" is a remark."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def cards(values: Sequence[tuple[str, str]]) -> str:
    """What each is and the figure itself, large."""
    return '<div class="cards">' + "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}</span></div>' for label, value in values
    ) + "</div>"  # fmt: skip


def figure(svg: str, caption: str) -> str:
    """A picture with what it shows, which is its text for who cannot see it, too."""
    labelled = svg.replace("<svg ", f'<svg aria-label="{escape(caption, quote=True)}" ', 1)
    return f"<figure>{labelled}<figcaption>{escape(caption)}</figcaption></figure>"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], kinds: Sequence[Sequence[str]] | None = None) -> str:
    """A table that scrolls sideways where it is too wide. kinds: a class for each cell: "good", "bad", "text"."""
    head = "".join(f"<th>{escape(h)}</th>" for h in headers)
    body = "".join(
        "<tr>" + "".join(f"<td{_class(k)}>{escape(c)}</td>" for c, k in zip(row, kind, strict=True)) + "</tr>"
        for row, kind in zip(rows, kinds or [[""] * len(row) for row in rows], strict=True)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def number_table(
    corner: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[float | None]]],
    lower: Sequence[bool] = (),
    digits: int = 4,
) -> str:
    """Numbers with a bar of their size in the cell, the best of each column bold; a missing one is a dash.

    lower: of each column, whether a small number is the good one; without it, nothing is bold.
    """
    head = "".join(f"<th>{escape(h)}</th>" for h in (corner, *columns))
    cells = [[f"<td>{escape(name)}</td>"] for name, _ in rows]
    for i in range(len(columns)):
        values = [numbers[i] for _, numbers in rows]
        known = [value for value in values if value is not None]
        most = max(map(abs, known), default=0.0)
        differ = bool(lower) and len(set(known)) > 1
        best = (min if lower[i] else max)(known) if differ else None
        for line, value in zip(cells, values, strict=True):
            line.append(_number(value, abs(value or 0.0) / most if most else 0.0, value == best, digits))
    body = "".join(f"<tr>{''.join(line)}</tr>" for line in cells)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _number(value: float | None, share: float, is_best: bool, digits: int) -> str:
    if value is None:
        return "<td>–</td>"
    width = f"{100 * share:.0f}%"
    bar = f"background:linear-gradient(90deg,var(--bar) {width},transparent {width})"
    return f'<td{_class("best" if is_best else "")} style="{bar}">{value:.{digits}f}</td>'


def listed(items: Sequence[str]) -> str:
    """A list of plain texts; nothing for none."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""


def folded(summary: str, inside: str) -> str:
    """Something to unfold."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>"


def preformatted(text: str) -> str:
    """A command."""
    return f"<pre>{escape(text)}</pre>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
