"""Plain text tables."""

from collections.abc import Sequence

_RULE = 100


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last runs free."""
    cells = [[_one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    widths[-1] = 0
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    rule = "-" * min(max(len(line) for line in lines), _RULE)
    return "\n".join([lines[0], rule, *lines[1:]])


def _one_line(cell: str) -> str:
    """Without what would move the cursor: ids come from outside."""
    return "".join(c if c.isprintable() else "?" for c in cell)
