"""One entry for every task: checks that cost nothing first, then the task named in ``conf/task``."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from omegaconf import DictConfig

from rv_edit.errors import ConfigError


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
    """Lightning starts its other ranks with the whole command line, so each would run the whole sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    swept = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    if swept and str(cfg.trainer.devices) != "1":
        devices = cfg.trainer.devices
        raise ConfigError(f"-m with trainer.devices={devices}: sweep with one process a job, or run the jobs singly")


def _be_quiet() -> None:
    """What libraries say of their own loading drowns what a run says; other ranks would say everything twice."""
    for name in ("sentence_transformers", "transformers", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if os.environ.get("LOCAL_RANK", "0") != "0":
        logging.getLogger().setLevel(logging.ERROR)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
