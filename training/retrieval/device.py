"""Towers on a GPU: bfloat16 where products dominate, compiled, with fused attention; on the CPU nothing is touched."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from training.deterministic import deterministic
from training.retrieval.tower import Towers


@contextmanager
def on_device(towers: Towers, device: torch.device) -> Iterator[None]:
    """Inside, the towers train on the device, tensors are made there by default, and seeds hold; then back to the CPU.

    Loss, optimiser and item vectors stay float32: the softmax over a catalogue loses too much in bfloat16.
    """
    gpu = device.type == "cuda"
    with ExitStack() as stack:
        # A few operations of a GPU have no order of their own: there they are said, not refused.
        stack.enter_context(deterministic(warn_only=gpu))
        stack.enter_context(torch.random.fork_rng(devices=[device] if gpu else []))
        if gpu:
            stack.enter_context(accelerated(towers, device))
        yield


@contextmanager
def accelerated(towers: Towers, device: torch.device) -> Iterator[None]:
    """Inside, the towers are on the device and their encoder is compiled and computes in bfloat16; then back."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    compiled = torch.compile(towers.encoder.forward, dynamic=True)

    def encode(x_BLD: Tensor, known_BL: Tensor, last_only: bool = False) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            states = torch.as_tensor(compiled(x_BLD, known_BL, last_only))
        return states.float()

    towers.to(device)
    # On this one encoder: what holds it goes on calling it, and the class stays as it is.
    towers.encoder.forward = encode  # type: ignore[method-assign]
    try:
        with device:
            yield
    finally:
        del towers.encoder.forward
        towers.to("cpu")
        torch.set_float32_matmul_precision(precision)
