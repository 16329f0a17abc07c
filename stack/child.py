"""Becomes a command that dies with its parent: python -I -S child.py PARENT_PID COMMAND [ARGUMENT ...]

PR_SET_PDEATHSIG outlives exec, so the process that the parent started is the command itself, and the kernel kills it
when the parent goes, however the parent goes. Done in a program of its own and not in a preexec_fn, which would fork
a parent whose threads may hold locks. Only Linux has it; elsewhere a parent killed with -9 leaves its children.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Does not return."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before the line above could matter
        os._exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


if __name__ == "__main__":
    main()
