"""One entry for every task: checks that cost nothing first, then the task named in ``conf/task``."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from omegaconf import DictConfig

from rv_edit.errors import ConfigError
from rv_edit.quiet import quieten_libraries


def run(cfg: DictConfig) -> Any:
    """Run a composed configuration.

    Returns:
        What the task returns (:class:`rv_edit.report.RunResult` for ``task=edit``).

    Raises:
        ConfigError, RecordError: an option or the data cannot be used; one line says what to do.
    """
    from hydra.utils import get_method

    _refuse_parallel_sweeps(cfg)
    _be_quiet()
    task = get_method(cfg.task._target_)
    try:
        return task(cfg)
    finally:
        # a second job of a sweep would otherwise go on with this one's board
        if "wandb" in sys.modules:
            sys.modules["wandb"].finish()


def _refuse_parallel_sweeps(cfg: DictConfig) -> None:
    """``-m`` with several processes a job: right where the launcher starts them, else refused.

    Lightning starts its other ranks with the whole command line, so each would run the whole sweep. Slurm starts all
    of a job's processes itself, each with that job alone, if it is asked for as many as the trainer expects.

    Raises:
        ConfigError: one line: what to ask for instead.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return
    devices, nodes = cfg.trainer.devices, cfg.trainer.get("num_nodes", 1)
    if str(devices) == "1" and str(nodes) == "1":
        return
    launcher = HydraConfig.get().launcher
    if not str(launcher.get("_target_", "")).endswith("SlurmLauncher"):
        raise ConfigError(
            f"-m with trainer.devices={devices} and num_nodes={nodes}: sweep with one process a job, run the jobs "
            "singly, or let Slurm start the processes (hydra/launcher=submitit_slurm)"
        )
    asked = {"tasks_per_node": devices, "nodes": nodes}
    for name, wanted in asked.items():
        if str(launcher.get(name)) != str(wanted):
            raise ConfigError(
                f"hydra.launcher.{name}={launcher.get(name)} does not fit trainer.devices={devices}, "
                f"num_nodes={nodes}; give hydra.launcher.{name}={wanted}"
            )


def _be_quiet() -> None:
    """Libraries are; and other ranks, who would say everything twice."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        logging.getLogger().setLevel(logging.ERROR)
    quieten_libraries()
