"""A run that ends before an edit, as by a crash."""

from __future__ import annotations

from typing import Any

from lightning import Callback


class Stopped(Exception):
    pass


class StopsBefore(Callback):
    """Ends the process's work before an edit, as a crash would."""

    def __init__(self, edit: int) -> None:
        self.edit = edit

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.edit:
            raise Stopped
