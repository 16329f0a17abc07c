"""penchant: ask a running stack for slates, send it events, look at what it runs. Speaks only gRPC.

Exit status: 0 all well; 1 the stack refused, failed or could not be reached, or some events were not taken; 2 the
command itself is wrong (arguments, files).
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO, TypeVar

from penchant import bundle
from penchant.answers import Slate
from penchant.client import DEFAULT_ADDRESS, DEFAULT_DEADLINE_S, Client, check_deadline, check_token
from penchant.conditions import read_condition
from penchant.errors import BundleError, ConfigError, DataError, InvalidArgument, PenchantError, ServiceUnavailable
from penchant.event_file import opened, read_events
from penchant.send import MAX_BATCH, send
from penchant.text_table import text_table

_T = TypeVar("_T")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options, sys.stdout))
    except ServiceUnavailable as error:
        return _complain(_unreachable(error, options.address) + _noted(error), 1)
    except (DataError, ConfigError) as error:
        return _complain(str(error), 2)
    except PenchantError as error:
        return _complain(str(error) + _noted(error), 1)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def _complain(text: str, status: int) -> int:
    print(f"penchant: {' '.join(text.split())}", file=sys.stderr)
    return status


def _noted(error: PenchantError) -> str:
    return "".join(f" ({note})" for note in getattr(error, "__notes__", ()))


_NOBODY = ("Connection refused", "No such file", "errors resolving", "lookup error", "No route to host", "unreachable")


def _unreachable(error: ServiceUnavailable, address: str) -> str:
    text = str(error)
    if error.said:
        return text
    if error.reason == "UNAVAILABLE" and any(sign in text for sign in _NOBODY):
        return f"no server answers at {address}: start one with `make up`, or give --address HOST:PORT"
    if error.reason == "UNAVAILABLE" and "failed to connect" in text:
        return (
            f"{address} answers, but not as a server of penchant: look at --address and --tls-authority "
            f"({text.rpartition('last error: ')[2]})"
        )
    if error.reason == "DEADLINE_EXCEEDED":
        return f"{address} did not answer in time: give more with --deadline SECONDS"
    if error.reason == "UNAUTHENTICATED":
        return f"{address} asks for a token: set PENCHANT_TOKEN or give --token"
    return text


def _client(options: argparse.Namespace) -> Client:
    return Client(options.address, options.token, options.deadline, options.tls_authority)


def _recommend(options: argparse.Namespace, out: TextIO) -> int:
    with _client(options) as client:
        slate = client.recommend_items(
            options.k,
            user_id=options.user,
            placement=options.placement,
            conditions=options.filter,
            excluded=options.exclude,
            candidates=options.candidate,
            sources=options.source,
            include_seen=options.include_seen,
            ranking=options.ranking,
        )
    _show_slate(slate, options.json, out)
    return 0


def _similar(options: argparse.Namespace, out: TextIO) -> int:
    with _client(options) as client:
        slate = client.recommend_similar_items(
            options.item, options.k, options.filter, options.exclude, user_id=options.user
        )
    _show_slate(slate, options.json, out)
    return 0


def _similar_users(options: argparse.Namespace, out: TextIO) -> int:
    with _client(options) as client:
        found = client.recommend_similar_users(options.user, options.k)
    if options.json:
        print(json.dumps(asdict(found)), file=out)
        return 0
    print(text_table(("user", "cosine"), [(u.user_id, f"{u.score:.4f}") for u in found.users]), file=out)
    _show_degraded(found.degraded_stages, out)
    return 0


def _show_slate(slate: Slate, as_json: bool, out: TextIO) -> None:
    if as_json:
        print(json.dumps(asdict(slate)), file=out)
        return
    tasks = sorted({task for item in slate.items for task in item.task_scores})
    rows = [
        (
            str(item.position + 1),
            item.item_id,
            f"{item.score:.4f}",
            *(f"{item.task_scores[task]:.4f}" if task in item.task_scores else "-" for task in tasks),
            " ".join(item.sources),
        )
        for item in slate.items
    ]
    print(text_table(("", "item", "score", *tasks, "sources"), rows), file=out)
    v = slate.versions
    print(f"\nrecommendation {slate.recommendation_id}", file=out)
    print(f"bundle {v.bundle}, policy {v.policy}, events applied through {v.events_applied_through}", file=out)
    _show_degraded(slate.degraded_stages, out)


def _show_degraded(stages: Sequence[str], out: TextIO) -> None:
    for stage in stages:
        print(f"degraded {stage}", file=out)


def _send(options: argparse.Namespace, out: TextIO) -> int:
    with opened(options.file) as (path, name):
        # Read once without sending, so that a bad line leaves nothing half sent.
        count = sum(1 for _ in read_events(path, name, options.format))
        with _client(options) as client:
            sent = send(client, read_events(path, name, options.format), options.batch, _progress(count))
    status = 1 if sent.rejections or sent.accepted < count else 0
    if options.json:
        print(json.dumps(asdict(sent)), file=out)
        return status
    print(f"accepted {sent.accepted}, rejected {len(sent.rejections)}, token {sent.position}", file=out)
    if sent.rejections:
        rows = [(str(r.index), r.field, r.reason) for r in sent.rejections]
        print(text_table(("event", "field", "reason"), rows), file=out)
    return status


def _merge(options: argparse.Namespace, out: TextIO) -> int:
    with _client(options) as client:
        merged = client.merge_identities(
            options.into, anonymous_id=options.anonymous, device_id=options.device, user_id=options.user
        )
    if options.json:
        print(json.dumps(asdict(merged)), file=out)
    else:
        print(f"{'one before' if merged.already else 'merged'}, token {merged.position}", file=out)
    return 0


def _progress(count: int) -> Callable[[int], None]:
    """On a terminal, one line that is written over; nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda done: None

    def show(done: int) -> None:
        print(f"\rsent {done} of {count}", end="\n" if done >= count else "", file=sys.stderr, flush=True)

    return show


def _inspect(options: argparse.Namespace, out: TextIO) -> int:
    folder = options.bundle
    if (folder / bundle.POINTER).is_file():
        folder = bundle.current(folder) or folder
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder: give a bundle, or a folder of bundles with a {bundle.POINTER} file")
    try:
        manifest = bundle.verify(folder)
    except BundleError as error:
        if options.json:
            print(json.dumps({"folder": str(folder), "verified": False, "reason": str(error)}), file=out)
        raise
    described = asdict(manifest)
    if options.json:
        print(json.dumps({"folder": str(folder), "verified": True, "manifest": described}), file=out)
        return 0
    facts = ("version", "created", "dataset", "seed", "item_count", "embedding_dim", "history_length", "tasks")
    rows = [(name, _plain(described[name])) for name in (*facts, "task_weights", "schema_fingerprint", "retrieval")]
    print(text_table(("bundle", str(folder)), rows), file=out)
    models = [
        (name, spec.file, " ".join(t.name for t in spec.inputs), " ".join(t.name for t in spec.outputs))
        for name, spec in sorted(manifest.models.items())
    ]
    print("\n" + text_table(("model", "file", "inputs", "outputs"), models), file=out)
    files = [
        (name, str((folder / name).stat().st_size), digest[:16]) for name, digest in sorted(manifest.files.items())
    ]
    print("\n" + text_table(("file", "bytes", "sha256, checked"), files), file=out)
    if manifest.metrics:
        print(
            "\n" + text_table(("metric", "value"), [(n, _plain(v)) for n, v in sorted(manifest.metrics.items())]),
            file=out,
        )
    return 0


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)


def _status(options: argparse.Namespace, out: TextIO) -> int:
    with _client(options) as client:
        status = client.status()
    if options.json:
        print(json.dumps(asdict(status)), file=out)
        return 0
    rows = [(name, _plain(value)) for name, value in asdict(status).items() if name != "metrics"]
    rows += [(name, f"{value:g}") for name, value in sorted(status.metrics.items())]
    if status.trouble():
        print(f"degraded: {status.trouble()}\n", file=out)
    print(text_table(("status", options.address), rows), file=out)
    return 0


def _condition(text: str) -> Any:
    try:
        return read_condition(text)
    except InvalidArgument as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _batch(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_BATCH:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {MAX_BATCH}")
    return int(text)


def _deadline(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    return _checked(seconds, check_deadline)


def _token(text: str) -> str:
    return _checked(text, check_token)


def _checked(value: _T, check: Callable[[_T], None]) -> _T:
    try:
        check(value)
    except InvalidArgument as error:
        raise argparse.ArgumentTypeError(error.reason) from None
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penchant", description=__doc__.split("\n\n")[0])
    asks = argparse.ArgumentParser(add_help=False)
    asks.add_argument("--address", default=DEFAULT_ADDRESS, metavar="HOST:PORT", help="front door")
    asks.add_argument(
        "--token", type=_token, default=os.environ.get("PENCHANT_TOKEN", ""), help="default: PENCHANT_TOKEN"
    )
    asks.add_argument(
        "--tls-authority", type=Path, metavar="PEM", help="speak TLS; who signed the server's certificate"
    )
    asks.add_argument("--deadline", type=_deadline, default=DEFAULT_DEADLINE_S, metavar="SECONDS")
    shows = argparse.ArgumentParser(add_help=False)
    shows.add_argument("--json", action="store_true", help="one JSON object, for programs")
    slates = argparse.ArgumentParser(add_help=False)
    slates.add_argument("-k", type=int, default=10, help="how many, 1 to 1000")
    filters = argparse.ArgumentParser(add_help=False)
    filters.add_argument(
        "--filter", action="append", default=[], type=_condition, metavar="CONDITION",
        help="genre=Drama, 'genre=Drama|Comedy', genre!=Horror, 'year>=1990', 'year<=2000'; may be repeated",
    )  # fmt: skip
    filters.add_argument(
        "--exclude", action="append", default=[], metavar="ITEM", help="never this one; may be repeated"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    recommend = commands.add_parser("recommend", parents=[asks, shows, slates, filters], help="a user's slate")
    recommend.add_argument("--user", default="", help="without one: a stranger")
    recommend.add_argument("--placement", default="")
    recommend.add_argument("--candidate", action="append", default=[], metavar="ITEM", help="consider this one as well")
    recommend.add_argument("--source", action="append", default=[], help="retrieval source to use; may be repeated")
    recommend.add_argument("--include-seen", action="store_true")
    recommend.add_argument("--ranking", choices=("model", "retrieval"), default="")
    recommend.set_defaults(run=_recommend)

    similar = commands.add_parser("similar", parents=[asks, shows, slates, filters], help="items like one")
    similar.add_argument("--item", required=True)
    similar.add_argument("--user", default="", help="who asks: without what they hid")
    similar.set_defaults(run=_similar)

    similar_users = commands.add_parser("similar-users", parents=[asks, shows, slates], help="users like one")
    similar_users.add_argument("--user", required=True)
    similar_users.set_defaults(run=_similar_users)

    sending = commands.add_parser("send", parents=[asks, shows], help="events from a file")
    sending.add_argument("file", help="JSON lines, a JSON array, or CSV with a header; - is stdin")
    sending.add_argument(
        "--format",
        choices=("auto", "jsonl", "csv"),
        default="auto",
        help="auto: by the file's ending, else by what it begins with",
    )
    sending.add_argument("--batch", type=_batch, default=500, help="events a call, 1 to 1000")
    sending.set_defaults(run=_send)

    merging = commands.add_parser("merge", parents=[asks, shows], help="two identities are one person")
    merging.add_argument("--into", required=True, metavar="USER", help="the user it turned out to be")
    who = merging.add_mutually_exclusive_group(required=True)
    who.add_argument("--anonymous", default="", metavar="ID", help="an anonymous session")
    who.add_argument("--device", default="", metavar="ID")
    who.add_argument("--user", default="", metavar="USER", help="another user")
    merging.set_defaults(run=_merge)

    inspect = commands.add_parser("inspect", parents=[shows], help="a bundle: its manifest, its files checked")
    inspect.add_argument("bundle", type=Path, help="a bundle's folder, or the folder of bundles")
    inspect.set_defaults(run=_inspect, address="")

    status = commands.add_parser("status", parents=[asks, shows], help="what a server runs")
    status.set_defaults(run=_status)
    return parser


if __name__ == "__main__":
    sys.exit(main())
