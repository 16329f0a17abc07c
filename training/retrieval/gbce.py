"""gSASRec's generalised binary cross-entropy. Petrov and Macdonald, RecSys 2023."""

import torch
from torch import Tensor, nn


def gbce_loss(
    states_PD: Tensor, vectors_ND: Tensor, targets_P: Tensor, drawn_K: Tensor, items: int, calibration: float
) -> Tensor:
    """Mean over P targets (rows of the vectors) of -beta log sigma(own) - sum over K drawn rows of log(1 - sigma).

    drawn_K were drawn evenly from `items` rows; one that is the target itself does not count. Few negatives make a
    model overconfident: beta takes that back, from calibration 0 (plain binary cross-entropy) to 1 (all of it).
    """
    chance = min(len(drawn_K) / max(items - 1, 1), 1.0)
    beta = chance * (calibration * (1.0 - 1.0 / chance) + 1.0 / chance)
    own_P = (states_PD * vectors_ND[targets_P]).sum(dim=1)
    others_PK = states_PD @ vectors_ND[drawn_K].T
    others_PK = others_PK.masked_fill(drawn_K[None, :] == targets_P[:, None], -torch.inf)
    loss_P = beta * nn.functional.softplus(-own_P) + nn.functional.softplus(others_PK).sum(dim=1)
    return loss_P.sum() / max(len(states_PD), 1)
