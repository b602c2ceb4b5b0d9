"""Run a function on several gloo ranks of this machine and collect what they return."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_ddp(fn: Callable[..., Any], world_size: int, *args: Any, timeout: float = 120.0) -> list[Any]:
    """``[fn(rank, world_size, *args) for every rank]``, each in a process of its own, with a gloo group up.

    Args:
        fn: a function at the top level of a module, since spawned processes import it.
        world_size: number of processes.
        args: picklable; the same for every rank.
        timeout: seconds until all are ended and the call fails; also how long a collective may wait.

    Raises:
        TimeoutError: not all ranks ended in time.
        torch.multiprocessing.ProcessRaisedException: a rank failed; its traceback is in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = mp.spawn(_rank, (world_size, folder, timeout, fn, args), nprocs=world_size, join=False)
        deadline = time.monotonic() + timeout
        try:
            while not context.join(timeout=1.0):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{fn.__module__}.{fn.__qualname__} on {world_size} ranks: over {timeout:g} s")
        finally:
            for process in context.processes:
                if process.is_alive():
                    process.kill()
                process.join()
        return [pickle.loads(Path(folder, f"result{rank}").read_bytes()) for rank in range(world_size)]


def _rank(
    rank: int, world_size: int, folder: str, timeout: float, fn: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size))
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=timeout),
    )
    try:
        Path(folder, f"result{rank}").write_bytes(pickle.dumps(fn(rank, world_size, *args)))
    finally:
        dist.destroy_process_group()
