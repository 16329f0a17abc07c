"""Networks as they are served give what they were trained to give."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from toy_requests import RECIPE

from training.ranking.networks import cross_of
from training.ranking.networks.cross import Pairs
from training.ranking.networks.dcn import DcnCross
from training.ranking.networks.folded import FoldedCross, FoldedTarget
from training.ranking.networks.heads import SharedHeads
from training.ranking.networks.mlp import MlpCross
from training.ranking.networks.target import TargetAttention

USER, OWN, CANDIDATES, OUTPUTS = 5, 11, 7, 3


def moved(module: torch.nn.Module) -> None:
    """Every parameter somewhere else."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("length", [0, 3, 8])
@torch.no_grad()
def test_target_attention_reads_the_same_whatever_is_known_of_the_history(length: int) -> None:
    target = TargetAttention(RECIPE)
    moved(target)
    generator = torch.Generator().manual_seed(1)
    seen, mine = (torch.randn(count, RECIPE.dim, generator=generator) for count in (8, CANDIDATES))
    known = torch.arange(8) >= 8 - length
    expected = target.read(target.encode(seen[None], known[None, None]), mine[None])
    for found, column in zip(FoldedTarget(target)(seen, known.float(), mine), expected, strict=True):
        torch.testing.assert_close(found, column[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("cross", "layers"), [("dcn", 1), ("dcn", 2), ("dcn", 4), ("mlp", 0)])
@torch.no_grad()
def test_the_user_s_columns_taken_out_of_the_candidates_products_count_the_same(
    cross: Literal["dcn", "mlp"], layers: int
) -> None:
    recipe = replace(RECIPE, cross=cross, cross_layers=layers)
    network, generator = cross_of(recipe, USER + OWN, USER).eval(), torch.Generator().manual_seed(1)
    assert isinstance(network, DcnCross | MlpCross)
    heads = SharedHeads(network.width, OUTPUTS)
    moved(network)
    moved(heads)
    user, own = (torch.randn(count, width, generator=generator) for count, width in ((1, USER), (CANDIDATES, OWN)))
    everything = torch.cat([user.expand(CANDIDATES, -1), own], dim=-1)
    logits = heads(network(Pairs(everything, user, own)))
    logits[:, 0] += 0.7 * own[:, 4]
    slope, offset = torch.tensor([1.0, 2.0, -0.5]), torch.tensor([0.0, 1.0, 3.0])
    found = FoldedCross(network, heads, USER, 4, torch.tensor(0.7), slope, offset)(user, own)
    torch.testing.assert_close(found, logits * slope + offset, atol=1e-4, rtol=1e-4)
