"""The processes that train one model together, and what each of them computes on."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import Tensor, distributed

from penchant.errors import ConfigError
from training.checkpoint import State

DEVICES = ("cpu", "cuda", "auto")
_TORCHRUN = "TORCHELASTIC_RUN_ID"
"""Set by torchrun alone, unlike RANK and WORLD_SIZE, which are also others' names for other things."""
_PATIENCE = timedelta(days=2)
"""How long a process may wait for the first, which has more to do between two trainings of towers."""


@dataclass(frozen=True, slots=True)
class Workers:
    """This process among `count`. Each takes its share of a batch's rows; sums make them agree after every step."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this is the one that evaluates, writes and publishes."""
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """This process' rows of a batch: the shares follow one another and differ by one row at most."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Each tensor becomes, in place, its sum over the processes."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        at = 0
        for tensor in tensors:
            tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
            at += tensor.numel()

    def as_first(self, state: State | None) -> State:
        """What the first process has; the others' is not looked at."""
        box = [state]
        distributed.broadcast_object_list(box, src=0)
        assert box[0] is not None
        return box[0]


@contextmanager
def joined(device: str = "cpu", environment: Mapping[str, str] = os.environ) -> Iterator[Workers]:
    """The workers as torchrun says them, or this process alone. Raises ConfigError for a device that is not there."""
    started = _TORCHRUN in environment
    count, local = (int(environment[n]) for n in ("WORLD_SIZE", "LOCAL_RANK")) if started else (1, 0)
    chosen = _device(device, local)
    if count == 1:
        yield Workers(device=chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Workers(distributed.get_rank(), count, chosen)
    finally:
        distributed.destroy_process_group()


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """This process' number among those that torchrun started; 0 alone."""
    return int(environment["RANK"]) if _TORCHRUN in environment else 0


def _device(name: str, local: int) -> torch.device:
    """The device; of several GPUs each process of a machine takes one."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and gpus == 0):
        return torch.device("cpu")
    if local >= gpus:
        raise ConfigError(
            f"--device {name}: {gpus} GPUs are found here, for {local + 1} or more processes: "
            "start fewer, or choose --device cpu"
        )
    # Read when the first product of matrices is asked for; without it its sums have no order.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.cuda.set_device(local)
    return torch.device("cuda", local)
