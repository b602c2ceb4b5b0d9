import time

import pytest
import torch
import torch.distributed as dist

from tests.helpers_ddp import run_ddp


def add_up(rank: int, world_size: int, offset: int):
    if offset < 0:
        raise LookupError(f"rank {rank} is unwell")
    total = torch.tensor(rank + offset)
    dist.all_reduce(total)
    return rank, world_size, int(total)


def hang(rank: int, world_size: int):
    time.sleep(600)


@pytest.mark.DDP
def test_ranks_talk_and_return_in_order():
    assert run_ddp(add_up, 2, 10) == [(0, 2, 21), (1, 2, 21)]


@pytest.mark.DDP
def test_failures_are_reported_and_what_hangs_is_ended():
    with pytest.raises(Exception, match="rank 0 is unwell"):
        run_ddp(add_up, 1, -1)
    with pytest.raises(TimeoutError, match="hang on 1 ranks: over 1 s"):
        run_ddp(hang, 1, timeout=1.0)
