"""The Trainer of an edit run: built before any data is read, so that a wrong device stops at once."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.warnings import PossibleUserWarning
from omegaconf import DictConfig, OmegaConf

from rv_edit.editors import strategy  # noqa: F401  registers "replica"
from rv_edit.errors import ConfigError

_BESIDE_THE_POINT = (
    ".*configure_optimizers` returned `None`.*",  # on purpose: Lightning's mock optimizer counts edits
    ".*Total length of `.*` across ranks is zero.*",  # no validation while editing
    ".*ModelCheckpoint with manual optimization and every_n_train_steps.*",  # after the edit is what is wanted
    ".*isinstance.treespec.*",
)


def build_trainer(cfg: DictConfig, output: Path) -> Trainer:
    """A Trainer for edits: one pass, no shuffling, no padding, no sanity questions.

    Raises:
        ConfigError: no such device, or an option that Lightning does not know.
    """
    _hush()
    callbacks = [instantiate(node) for node in (cfg.callbacks or {}).values() if node is not None]
    options: dict[str, Any] = {str(name): value for name, value in _plain(cfg.trainer).items()}
    alone = str(options.get("devices", 1)) == "1" and options.get("num_nodes", 1) == 1
    # one process needs no process group, hence no port: some machines give none
    options.setdefault("strategy", "auto" if alone else "replica")
    try:
        return Trainer(
            callbacks=[callback for callback in callbacks if isinstance(callback, Callback)],
            logger=False,
            default_root_dir=str(output),
            max_epochs=1,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_checkpointing=any(hasattr(callback, "best_model_path") for callback in callbacks),
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            log_every_n_steps=10,
            **options,
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"trainer: {reason}") from error


def _plain(node: DictConfig) -> dict[Any, Any]:
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return container


def _hush() -> None:
    """Lightning's advice on loaders and devices, which does not apply to edits."""
    for name in ("lightning.pytorch", "lightning.fabric"):  # here, since importing it sets the level
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    for message in _BESIDE_THE_POINT:
        warnings.filterwarnings("ignore", message=message)
