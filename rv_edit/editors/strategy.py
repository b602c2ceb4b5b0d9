"""Several processes, one codebook: every rank applies every edit, and the evaluation is shared out.

Stock DDP refuses a frozen model ("DistributedDataParallel is not needed …") and would broadcast rank 0's buffers
over those of the others; neither fits a replicated codebook. ``trainer.strategy=replica`` wraps nothing: there are
no gradients to average, and equal pretrained weights and equal edits keep the ranks equal. Four devices share the
questions, and of the edits what needs no other edit: :mod:`rv_edit.editors.ahead`.
"""

from __future__ import annotations

from typing import Any, TypeVar

from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry

T = TypeVar("T")


class ReplicaStrategy(DDPStrategy):
    """DDP's processes and collectives around a bare module."""

    strategy_name = "replica"

    def configure_ddp(self) -> None:
        """Leave the module as it is: nothing in it takes a gradient."""


if "replica" not in StrategyRegistry:
    StrategyRegistry.register("replica", ReplicaStrategy, description="edits replicated, evaluation sharded")


def gather(item: T) -> list[T]:
    """``item`` of every rank, in the order of ranks; ``[item]`` in a single process."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return [item]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, item)
    return gathered


def rank_and_world() -> tuple[int, int]:
    """This process's rank and how many there are; ``(0, 1)`` in a single process."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def leave() -> None:
    """End the processes' connection: from here on each rank is by itself, and nobody waits for another."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
