"""Who does what, and on which device."""

import pytest
import torch

from penchant.errors import ConfigError
from training.workers import Workers, joined, rank


def test_without_torchrun_one_process_leads_and_does_everything() -> None:
    with joined("auto" if not torch.cuda.is_available() else "cpu", {}) as workers:
        assert workers.leads
        assert workers.share(7) == slice(0, 7)
        assert workers.device == torch.device("cpu")


def test_variables_that_others_set_do_not_make_a_group() -> None:
    with joined("cpu", {"WORLD_SIZE": "4", "RANK": "worker-3"}) as workers:
        assert workers.count == 1
    assert rank({"WORLD_SIZE": "4", "RANK": "worker-3"}) == 0
    assert rank({"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "4", "RANK": "3"}) == 3


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 32])
def test_the_shares_of_a_batch_are_all_of_it_once(rows: int) -> None:
    shares = [list(range(rows))[Workers(rank, 3).share(rows)] for rank in range(3)]
    assert [row for share in shares for row in share] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"0 GPUs are found here.*--device cpu"), joined("cuda", {}):
        pass
