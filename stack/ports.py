"""Ports on this machine: is one free, who holds it, and which one may be taken."""

import argparse
import random
import socket

import psutil

from penchant.errors import ConfigError

_OWN_RANGE = range(20_000, 32_000)
"""Below the range from which outgoing connections take theirs, so that none of those gets there first."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True if nothing listens there. SO_REUSEPORT stays off: gRPC sets it, and two servers would share the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def require_free(port: int, name: str) -> None:
    """Raises ConfigError with the port, who holds it and the remedy."""
    if not is_free(port):
        raise ConfigError(
            f"port {port} for {name} is in use{_holder(port)}: stop what listens there, or choose another port"
        )


def first_port(last: int, text: str) -> int:
    """Of an argument: the first of ports in a row of which the last is `last` further on."""
    highest = 65535 - last
    if not text.isdecimal() or not 1 <= int(text) <= highest:
        raise argparse.ArgumentTypeError(f"is {text}: choose one of 1 to {highest} (the others follow it)")
    return int(text)


def free_port() -> int:
    """A port on which nothing listens."""
    return free_run(1)


def free_run(count: int, prefer: int = 0) -> int:
    """The first of `count` ports in a row on which nothing listens: `prefer` where that is one."""
    starts = random.SystemRandom().sample(_OWN_RANGE[:-count], 200)
    for start in [prefer, *starts] if prefer else starts:
        if all(is_free(start + i) for i in range(count)):
            return start
    raise ConfigError(f"200 ports of {_OWN_RANGE.start} to {_OWN_RANGE.stop} tried, none is free")


def _holder(port: int) -> str:
    """ " by PROGRAM (pid N)" where this user may see it, else ""."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""
