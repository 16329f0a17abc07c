"""The layers that the encoders without any order share."""

from torch import nn

_WIDTH = 4


def perceptron(width: int, dim: int, layers: int, dropout: float) -> nn.Sequential:
    """From `width` numbers through hidden layers of 4 * dim to dim."""
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [nn.Linear(width, _WIDTH * dim), nn.ReLU(), nn.Dropout(dropout)]
        width = _WIDTH * dim
    return nn.Sequential(*parts, nn.Linear(width, dim))


def perceptron_multiplications(width: int, dim: int, layers: int) -> int:
    """Of matrix products, forward."""
    hidden = _WIDTH * dim
    return width * dim if layers == 0 else width * hidden + (layers - 1) * hidden**2 + hidden * dim
