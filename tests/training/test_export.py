"""Export: what is published computes what was trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.bundle import ModelSpec
from penchant.errors import BundleMismatch
from penchant.sessions import open_session
from training.export import check_parity, export_model


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, user: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return self.layer(user + items)


def feeds(sizes: tuple[int, ...]) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"user": rng.random((1, 3), np.float32), "items": rng.random((size, 3), np.float32)} for size in sizes]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelSpec]:
    folder = tmp_path_factory.mktemp("exported")
    return folder, export_model(Small(), feeds((4, 1, 9)), {"items": "candidates"}, "scores", folder, "m/small.onnx")


def test_an_export_says_what_it_looks_like_and_opens_with_its_golden_rows(exported: tuple[Path, ModelSpec]) -> None:
    folder, spec = exported
    assert [(t.name, t.shape) for t in spec.inputs] == [("user", (1, 3)), ("items", (-1, 3))]
    assert spec.outputs[0].shape == (-1, 2)
    assert (folder / "m" / "small.golden.npz").is_file()
    assert open_session(folder, spec)(feeds((7,))[0]).shape == (7, 2)


def test_a_model_that_computes_something_else_is_refused(exported: tuple[Path, ModelSpec]) -> None:
    folder, spec = exported
    some = feeds((4,))
    with torch.no_grad():
        right = Small()(*(torch.from_numpy(a) for a in some[0].values())).numpy()
    check_parity(folder, spec, some, [right])
    with pytest.raises(BundleMismatch, match="differs"):
        check_parity(folder, spec, some, [right + 1e-3])
    with pytest.raises(BundleMismatch, match="gives"):
        check_parity(folder, spec, some, [right[:2]])
