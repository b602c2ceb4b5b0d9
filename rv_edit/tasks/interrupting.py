"""What happens to a run that somebody interrupts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

log = logging.getLogger(__name__)


@contextmanager
def interruptible(trainer: Trainer, output: Path) -> Iterator[None]:
    """Say how to go on with a run, where Lightning would end the process without a word.

    Raises:
        KeyboardInterrupt: the run was interrupted.
    """
    from lightning.pytorch.trainer.states import TrainerStatus

    try:
        yield
    except SystemExit as error:
        if trainer.state.status != TrainerStatus.INTERRUPTED:
            raise
        if (output / "checkpoints/last.ckpt").is_file():
            log.warning("the same command with hydra.run.dir=%s resume=last goes on after the last checkpoint", output)
        raise KeyboardInterrupt from error
