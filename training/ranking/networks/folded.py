"""Networks as they are served: the same sums, with what is the user's alone taken out of the candidates' products.

A row of what a network reads is [user | own]: the same numbers for every candidate of a request, and the candidate's.
A layer's weights are cut there: the user's product is computed once and is the bias of the candidates'. Weights lie
in buffers as the graph multiplies them, so that a graph holds them by name.
"""

import torch
from torch import Tensor, nn

from training.ranking.networks.dcn import CrossLayer, DcnCross
from training.ranking.networks.heads import SharedHeads
from training.ranking.networks.history import MASKED
from training.ranking.networks.mlp import MlpCross
from training.ranking.networks.target import TargetAttention


class Folded(nn.Module):
    """A module of buffers."""

    def keep(self, name: str, value: Tensor) -> None:
        """As a buffer of its own."""
        self.register_buffer(name, value.detach().clone().contiguous())

    def kept(self, name: str) -> Tensor:
        """That buffer."""
        return self.get_buffer(name)


class FoldedTarget(Folded):
    """TargetAttention of one user's candidates: asks and keys meet on the history's side, padding is a bias."""

    def __init__(self, target: TargetAttention) -> None:
        super().__init__()
        scale = target.dim**-0.5
        asks, asked, keys, told = target.asks.weight, target.asks.bias, target.keys.weight, target.keys.bias
        # (asks m + asked) . (keys s + told) = m . (s @ keys' asks + told @ asks) + s . keys' asked + told . asked
        self.keep("keys", keys.T @ asks * scale)
        self.keep("keys_bias", told[None] @ asks * scale)
        self.keep("bias", keys.T @ asked[:, None] * scale)
        self.keep("bias_bias", (told @ asked)[None, None] * scale)

    def forward(self, seen: Tensor, known: Tensor, mine: Tensor) -> tuple[Tensor, ...]:
        """Columns [B, *] as TargetAttention.read has them; seen [L, D], known [L] 1 or 0, mine [B, D]."""
        padding = (1.0 - known) * MASKED
        keys = torch.addmm(self.kept("keys_bias"), seen, self.kept("keys"))
        bias = torch.addmm(self.kept("bias_bias"), seen, self.kept("bias"))[:, 0] + padding
        affinity = torch.addmm(bias[None], mine, keys.T)
        attended = affinity.softmax(dim=-1) @ (seen * known[:, None])
        # 0 at least where the history is not full.
        closest = affinity.amax(dim=-1, keepdim=True).maximum(MASKED - padding.amin(dim=0, keepdim=True))
        return attended, mine * attended, closest


class FoldedCross(Folded):
    """DcnCross or MlpCross under SharedHeads, and retrieval's blend: [user | own] to logits.

    What n cross layers make of x is x * y, where y is 1 and all that the layers add. y is computed for the candidate's
    own columns; what the user's are multiplied with is linear in the layers' inner numbers z, so a small matrix of the
    user's takes its place.
    """

    def __init__(
        self,
        cross: DcnCross | MlpCross,
        heads: SharedHeads,
        user: int,
        blend: int,
        weight: Tensor,
        slope: Tensor,
        offset: Tensor,
    ) -> None:
        """user: how many columns are the user's. blend: retrieval's among the own, whose weight is the first logit's.

        Logits come out times slope [1 + T] plus offset.
        """
        super().__init__()
        layers = [m for m in cross.layers if isinstance(m, CrossLayer)] if isinstance(cross, DcnCross) else []
        self.depth = len(layers)
        first, second = cross.deep[0], cross.deep[3]
        assert isinstance(first, nn.Linear)
        assert isinstance(second, nn.Linear)
        head = heads.head.weight.T * slope
        crossed, deep = head[: len(head) - second.out_features], head[len(head) - second.out_features :]
        self.keep("first_user", first.weight.T[:user])
        self.keep("first_bias", first.bias[None])
        self.keep("first", first.weight.T[user:])
        self.keep("second", second.weight.T)
        self.keep("second_bias", second.bias[None])
        self.keep("head_deep", deep)
        self.keep("head_bias", heads.head.bias[None] * slope + offset)
        straight = torch.zeros(first.in_features - user, head.shape[1])
        straight[blend, 0] = (weight * slope[0]).detach()
        # What y is without any z, before each layer and after the last.
        so_far = torch.ones(first.in_features)
        for i, layer in enumerate(layers):
            down, up, bias = layer.down.weight.T, layer.up.weight.T, layer.up.bias
            self.keep(f"down_user_{i}", so_far[:user, None] * down[:user])
            if i > 0:
                self.keep(f"down_cut_{i}", down[:user])
            self.keep(f"down_{i}", down[user:])
            self.keep(f"up_user_{i}", up[:, :user])
            self.keep(f"up_{i}", up[:, user:])
            so_far = so_far + bias
            # The last layer's is in `straight`: own * bias @ head is a product of own.
            last = i == self.depth - 1
            added = (torch.zeros_like(bias) if last else bias) + (1.0 if i == 0 else 0.0)
            if i == 0 or not last:
                self.keep(f"added_{i}", added[None, user:])
        if layers:
            straight = straight + layers[-1].up.bias[user:, None] * crossed[user:]
            self.keep("head_user", so_far[:user, None] * crossed[:user])
            self.keep("head_cut", crossed[:user])
            self.keep("head", crossed[user:])
        self.keep("straight", straight)

    def forward(self, user: Tensor, own: Tensor) -> Tensor:
        """Logits [B, 1 + T] of user [1, U] and own [B, W]."""
        kept = self.kept
        hidden = torch.addmm(torch.addmm(kept("first_bias"), user, kept("first_user")), own, kept("first")).relu()
        hidden = torch.addmm(kept("second_bias"), hidden, kept("second")).relu()
        out = kept("head_bias")
        if self.depth:
            out = torch.addmm(out, user, kept("head_user"))
        y, inner = own, list[tuple[Tensor, Tensor]]()
        for i in range(self.depth):
            z = user @ kept(f"down_user_{i}")
            for before, of_user in inner:
                z = torch.addmm(z, before, of_user @ kept(f"down_cut_{i}"))
            z = torch.addmm(z, own if i == 0 else own * y, kept(f"down_{i}"))
            inner.append((z, kept(f"up_user_{i}") * user))
            added = kept(f"added_{i}") if i == 0 else y if i == self.depth - 1 else y + kept(f"added_{i}")
            y = torch.addmm(added, z, kept(f"up_{i}"))
        out = torch.addmm(out, own, kept("straight"))
        for z, of_user in inner:
            out = torch.addmm(out, z, of_user @ kept("head_cut"))
        if self.depth:
            out = torch.addmm(out, own * y, kept("head"))
        return torch.addmm(out, hidden, kept("head_deep"))
