"""python -m benchmarks: a short set in under ten minutes; results/DATE.md and .json below the run folder.

What a slate costs beside the floor, in one process and over four services, and features read beside Feast's SDK. Each
in its short form and a process of its own; the long forms are the commands themselves.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import feast_reads, slates
from benchmarks.report import machine
from benchmarks.stand import add_options, say, trained
from penchant.errors import PenchantError
from penchant.text_table import text_table
from stack.layout import KINDS, ROOT

_SHORT = ("--users", "20000", "--warm", "5", "--peak-s", "15", "--window-s", "8", "--floor-slates", "1500")
_FEW = ("--items", "5000", "--sdk-rows", "1000", "--rounds", "20")


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 where one of them failed; the last line of stdout is all figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add_options(parser)
    options = parser.parse_args(argv)
    run: Path = options.run.resolve()
    try:
        bundles = trained(options, run) if options.bundles is None else options.bundles.resolve()
    except PenchantError as error:
        say(f"error: {error}")
        return 1
    shared = ("--run", str(run), "--seed", str(options.seed))
    found: dict[str, Any] = {}
    for kind in KINDS:
        found[f"slates, {kind}"] = _ran("slates", *shared, "--bundles", str(bundles), "--services", kind, *_SHORT)
    found["feature reads"] = _ran("feast_reads", *shared, *_FEW)
    _write(run / "results", found)
    print(json.dumps(found), flush=True)
    return int(any(one is None for one in found.values()))


def _ran(name: str, *arguments: str) -> dict[str, Any] | None:
    """Figures of one benchmark; None where it failed, which it has said itself."""
    say(f"-- {name} {' '.join(arguments)}")
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        say(f"{name} ended with status {done.returncode}")
        return None
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _write(folder: Path, found: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    parts = [f"# Benchmarks, short forms, {day}\n\n{json.dumps(machine())}\n"]
    for title, figures in found.items():
        if figures is None:
            parts.append(f"## {title}\n\nfailed\n")
            continue
        rows = feast_reads.rows(figures) if title == "feature reads" else slates.rows(figures)
        table = text_table((title, "measured", "bar"), [(what, str(figure), bar) for what, figure, bar in rows])
        parts.append(f"## {title}\n\n```\n{table}\n```\n")
    (folder / f"{day}.md").write_text("\n".join(parts))
    (folder / f"{day}.json").write_text(json.dumps(found, indent=1) + "\n")
    say(f"written: {folder / day}.md and .json")


if __name__ == "__main__":
    sys.exit(main())
