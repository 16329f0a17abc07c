"""python -m training rollback: back to an earlier bundle, at once, and the learner leaves it there.

python -m training rollback --bundles DIR                 to the bundle that was in force before
python -m training rollback --bundles DIR --to VERSION    to that one
python -m training rollback --bundles DIR --list          which bundles there are
python -m training rollback --bundles DIR --release       let the learner publish by its ordinary rule again
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from penchant.bundle import MANIFEST, Manifest, current, publish, read_manifest, verify
from penchant.errors import BundleError, BundleMismatch, ConfigError, PenchantError
from training.learning.files import Hold, read_hold, release_hold, write_hold


@dataclass(frozen=True, slots=True)
class Listed:
    """A bundle folder; manifest is None where it cannot be read, for the reason in `fault`."""

    version: str
    manifest: Manifest | None
    fault: str
    published: bool

    @property
    def made(self) -> tuple[str, int]:
        """What orders bundles in time."""
        if self.manifest is None:
            return "", 0
        return self.manifest.created, int(self.manifest.lineage.get("update", 0))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is one JSON object."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        if options.list:
            print(json.dumps(_show(options.bundles, console)), flush=True)
        elif options.release:
            print(json.dumps({"released": release_hold(options.bundles)}), flush=True)
        else:
            left, taken = roll_back(options.bundles, options.to, datetime.now(UTC))
            console.print(
                f"{left} -> {taken}: services swap within their bundle_poll_s (1 s by default). The learner publishes "
                "nothing until a bundle is surely better on events from now on, or until --release",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
            print(json.dumps({"from": left, "to": taken}), flush=True)
    except PenchantError as error:
        console.print(f"[red]rollback:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    return 0


def roll_back(bundles: Path, to: str | None, now: datetime) -> tuple[str, str]:
    """Move the pointer to an earlier bundle, by default the one before; (left, taken).

    The bundle is verified first: a damaged one is never pointed at. Raises BundleMismatch, ConfigError.
    """
    left = current(bundles)
    if left is None:
        raise BundleMismatch(f"{bundles} publishes no bundle: there is nothing to go back from")
    listed = list_bundles(bundles)
    version = to or _before(listed, left.name)
    if version not in {bundle.version for bundle in listed}:
        known = ", ".join(bundle.version for bundle in listed) or "none"
        raise ConfigError(f"--to {version}: {bundles} has no such bundle; it has {known}")
    if version == left.name:
        raise ConfigError(f"{version} is the published bundle already: name another one with --to; --list shows them")
    verify(bundles / version)
    earlier = read_hold(bundles)
    gone = dict.fromkeys([left.name, *(earlier.rolled_back if earlier else ())])
    gone.pop(version, None)
    # First the hold, then the pointer: a learner that looks in between publishes nothing.
    write_hold(bundles, Hold(now.isoformat(timespec="microseconds"), version, tuple(gone)))
    publish(bundles, version)
    return left.name, version


def list_bundles(bundles: Path) -> list[Listed]:
    """Every bundle folder, oldest first; half-written ones are left out."""
    now = current(bundles)
    found = []
    for folder in bundles.iterdir() if bundles.is_dir() else ():
        if folder.name.startswith(".") or not (folder / MANIFEST).is_file():
            continue
        try:
            manifest, fault = read_manifest(folder), ""
        except BundleError as error:
            manifest, fault = None, str(error)
        found.append(Listed(folder.name, manifest, fault, now is not None and folder.name == now.name))
    return sorted(found, key=lambda bundle: (bundle.made, bundle.version))


def _before(listed: Sequence[Listed], left: str) -> str:
    """What was in force before a bundle: the one it was learned from, else the one made just before it."""
    readable = [bundle for bundle in listed if bundle.manifest is not None]
    at = next((bundle for bundle in readable if bundle.version == left), None)
    if at is not None and at.manifest is not None:
        origin = at.manifest.lineage.get("from", "")
        if any(bundle.version == origin for bundle in readable):
            return str(origin)
    older = [bundle.version for bundle in readable if at is None or bundle.made < at.made]
    older = [version for version in older if version != left]
    if not older:
        raise ConfigError(f"there is no bundle before {left}: name one with --to; --list shows them")
    return older[-1]


def _show(bundles: Path, console: Console) -> dict[str, object]:
    listed = list_bundles(bundles)
    hold = read_hold(bundles)
    table = Table("", Column("bundle", no_wrap=True), "made", "from", "events through", "NDCG@10", "verdict")
    rows = []
    for bundle in listed:
        row: dict[str, object] = {"version": bundle.version, "current": bundle.published}
        if bundle.manifest is None:
            row["fault"] = bundle.fault
            table.add_row("*" if bundle.published else "", bundle.version, "", "", "", "", escape(bundle.fault))
        else:
            lineage, contest = bundle.manifest.lineage, bundle.manifest.metrics.get("contest", {})
            ndcg = contest.get("challenger", bundle.manifest.metrics.get("ranked_ndcg@10"))
            verdict = "rolled back" if hold and bundle.version in hold.rolled_back else contest.get("verdict", "")
            through = datetime.fromtimestamp(bundle.manifest.cut_us / 1e6, UTC).isoformat(timespec="seconds")
            row |= {
                "created": bundle.manifest.created, "from": lineage.get("from", ""), "cut": through,
                "position": lineage.get("position", 0), "ndcg@10": ndcg, "verdict": verdict,
            }  # fmt: skip
            table.add_row(
                "*" if bundle.published else "", bundle.version, bundle.manifest.created, lineage.get("from", ""),
                through, "" if ndcg is None else f"{ndcg:.4f}", verdict,
            )  # fmt: skip
        rows.append(row)
    console.print(table)
    return {"bundles": rows, "hold": hold.at if hold else None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training rollback", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundles", type=Path, required=True)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--to", metavar="VERSION", default=None, help="by default the bundle that was in force before")
    action.add_argument("--list", action="store_true", help="show the bundles; nothing is changed")
    action.add_argument("--release", action="store_true", help="lift the hold of an earlier roll-back")
    return parser


if __name__ == "__main__":
    sys.exit(main())
