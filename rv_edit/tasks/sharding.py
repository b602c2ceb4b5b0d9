"""Several devices measure their share of the networks, each in a process of its own; results meet in the cache."""

from __future__ import annotations

import logging
import multiprocessing
import traceback
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rv_edit.errors import ConfigError, bad_input_in
from rv_edit.tasks.topology_options import TopologyOptions

MOST = 2000
"""Characters of a traceback that reach the first process."""


def measure_shards(cfg: DictConfig, options: TopologyOptions, devices: list[str]) -> None:
    """Measure the layers of all networks, network n on device n modulo their number.

    Raises:
        ConfigError: there is no cache to meet in, or a process met something that cannot be used.
        RuntimeError: a process failed otherwise; its traceback.
    """
    if cfg.cache is None:
        raise ConfigError(f"trainer.devices={len(devices)}: results of several devices meet in cache=, but it is null")
    context = multiprocessing.get_context("spawn")
    failures: Any = context.SimpleQueue()
    plain = OmegaConf.to_container(cfg, resolve=True)
    workers = [
        context.Process(target=_work, args=(plain, options, device, rank, len(devices), failures), daemon=True)
        for rank, device in enumerate(devices)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if not failures.empty():
        known, message = failures.get()
        raise ConfigError(message) if known else RuntimeError(message)
    dead = [worker.exitcode for worker in workers if worker.exitcode]
    if dead:
        raise RuntimeError(f"a measuring process ended with status {dead[0]}; what it had measured is kept")


def _work(plain: Any, options: TopologyOptions, device: str, rank: int, world: int, failures: Any) -> None:
    from rv_edit.tasks.study import Study

    logging.getLogger().setLevel(logging.ERROR)  # the first process says everything already
    try:
        study = Study(OmegaConf.create(plain), options, device)
        for pairs in study.layer_networks:
            study.layers(range(rank, options.networks, world), pairs)
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # the first process says it; a traceback a device would bury that
    except Exception as error:  # noqa: BLE001  to be raised in the process that a user sees
        known = bad_input_in(error)
        # The end tells most. Nobody reads before all have ended, and a full pipe would keep them from it.
        failures.put((known is not None, traceback.format_exc()[-MOST:] if known is None else str(known)))
