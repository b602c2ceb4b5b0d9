"""Mining on several devices: while this process mines, one on each further device mines along, through the cache.

Lightning starts its other processes only when there is something to edit or to ask, which mining has to find first. So
the devices would be idle in the longest part of a run's preparation; these helpers end before Lightning begins.
Processes that were started from outside (torchrun, Slurm) need none: each of them mines, and they share the cache.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from data_modules.qa_record import QARecord
from rv_edit.benchmark import Mined, left_to_mine, mine
from rv_edit.errors import bad_input_in

if TYPE_CHECKING:
    from lightning import Trainer

    from data_modules.bundle import DataBundle
    from rv_edit.benchmark.mining import Progress
    from rv_edit.tasks.preparing import Scoring
    from rv_edit.vlm import VLM

log = logging.getLogger(__name__)


def mine_pool(vlm: VLM, records: Sequence[QARecord], scoring: Scoring, progress: Progress | None = None) -> Mined:
    """Mine as a run does, the same on every device."""
    return mine(
        vlm,
        records,
        normalize=scoring.normalize,
        cache_dir=scoring.cache,
        batch_size=scoring.batch_size,
        limit_errors=scoring.limit,
        limit_correct=scoring.limit,
        seed=scoring.seed,
        progress=progress,
    )


def further_devices(trainer: Trainer) -> list[str]:
    """The devices besides the first that nothing runs on yet; none in a process that others started beside its like."""
    strategy: Any = trainer.strategy
    devices = [str(device) for device in getattr(strategy, "parallel_devices", None) or ()]
    environment = getattr(strategy, "cluster_environment", None)
    alone = environment is not None and not environment.creates_processes_externally and "LOCAL_RANK" not in os.environ
    return devices[1:] if alone else []


@contextmanager
def mining_helpers(
    cfg: DictConfig, vlm: VLM, records: Sequence[QARecord], scoring: Scoring, devices: Sequence[str]
) -> Iterator[None]:
    """While the block mines, a process on each of ``devices`` mines along, as far as there is work for it.

    A helper that fails costs a warning: its part is done by the others. All have ended when the block is left.
    """
    helpers = _start(cfg, vlm, records, scoring, devices)
    try:
        yield
    except BaseException:
        for process, _ in helpers:
            process.terminate()
        raise
    finally:
        for process, _ in helpers:
            process.join()
    for device, (process, failures) in zip(devices, helpers, strict=False):
        if not failures.empty():
            log.warning("mining on %s failed, the others did its part: %s", device, failures.get())
        elif process.exitcode:
            log.warning("mining on %s ended with status %s, the others did its part", device, process.exitcode)


def _start(
    cfg: DictConfig, vlm: VLM, records: Sequence[QARecord], scoring: Scoring, devices: Sequence[str]
) -> list[tuple[Any, Any]]:
    if not devices:
        return []
    if scoring.cache is None:
        log.info("cache=null: every device mines by itself, for there is no place to share what was mined")
        return []
    left = left_to_mine(vlm, records, normalize=scoring.normalize, cache_dir=scoring.cache)
    useful = devices[: max(0, left - 1)]
    if useful:
        log.info("mining on %d devices", 1 + len(useful))
    context = multiprocessing.get_context("spawn")
    plain = OmegaConf.to_container(cfg, resolve=True)
    helpers = []
    for device in useful:
        failures: Any = context.SimpleQueue()
        process = context.Process(target=_work, args=(plain, scoring, device, failures), daemon=True)
        process.start()
        helpers.append((process, failures))
    return helpers


def _work(plain: Any, scoring: Scoring, device: str, failures: Any) -> None:
    from hydra.utils import instantiate

    logging.getLogger().setLevel(logging.ERROR)  # the first process says everything already
    try:
        cfg: Any = OmegaConf.create(plain)
        data: DataBundle = instantiate(cfg.dataset.source, _convert_="all")
        vlm: VLM = instantiate(cfg.model.vlm, device=device, _convert_="all")
        mine_pool(vlm, data.records, scoring)
    except Exception as error:  # noqa: BLE001  to be told by the process that a user sees
        known = bad_input_in(error)
        failures.put(traceback.format_exc() if known is None else str(known))
