"""python -m training: everything that happens between events and a published bundle."""

import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "describe": ("training.data.describe", "what a data set holds and what cleaning did"),
    "fit": ("training.fit", "train retrieval and ranking, publish a bundle"),
    "evaluate": ("training.evaluation.cli", "what a bundle is worth on the held-out part, offline or through a stack"),
    "compare": ("training.retrieval.compare", "recipes of retrieval and classical models side by side, and their cost"),
    "cold": ("training.content.cold", "items held wholly out of training, placed by what is written of them"),
    "generate": ("training.data.generator.cli", "make a data set with a known truth"),
    "replay": ("training.replay.cli", "test, then learn: a data set's newest part through the real front door"),
    "learn": ("training.learning.cli", "follow the log: fine-tune, compare, publish what is not worse"),
    "rollback": ("training.learning.rollback", "back to an earlier bundle, in one command"),
    "drift": ("training.learning.drift_cli", "how far today's features and scores are from the bundle's"),
    "features": ("training.features.cli", "replay a data set into Feast's offline store"),
}
"""Sub-command to (module with main(argv) -> exit status, what it does); a module is imported only when it is used."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the sub-command; 2 without one."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        asked = bool(arguments) and arguments[0] in ("-h", "--help")
        stream = sys.stdout if asked else sys.stderr
        if arguments and not asked:
            print(f"unknown sub-command {arguments[0]!r}", file=stream)
        print("usage: python -m training COMMAND [--help]\n", file=stream)
        for name, (_, text) in COMMANDS.items():
            print(f"  {name:<10} {text}", file=stream)
        return 0 if asked else 2
    # Before torch is imported, or it is not read. Threads that spin while they wait make two threads five to ten times
    # slower than one wherever the cores are also used by others; threads that sleep cost nothing measurable.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    module = importlib.import_module(COMMANDS[arguments[0]][0])
    status: int = module.main(arguments[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
