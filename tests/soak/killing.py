"""A callback that ends its process as a power cut would."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback


class KillDuring(Callback):
    """SIGKILL ``delay`` seconds into edit number ``edit``: mid-edit, or while a checkpoint is written."""

    def __init__(self, edit: int, delay: float) -> None:
        self.edit = edit
        self.delay = delay

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.edit:
            threading.Timer(self.delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)  # the stream was faster than the timer
