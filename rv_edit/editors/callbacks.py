"""Callbacks of an edit run: progress in edits, checkpoints by edits, and a guard on ranks that drift apart."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm, TQDMProgressBar

from rv_edit.editors.strategy import gather

log = logging.getLogger(__name__)


class EditProgressBar(TQDMProgressBar):
    """Edits a second and keys while editing; batches of questions while asking.

    Args:
        refresh_rate: batches between updates.
    """

    def __init__(self, refresh_rate: int = 1) -> None:
        super().__init__(refresh_rate=refresh_rate, leave=True)
        if not sys.stdout.isatty():
            self.disable()  # a log file would get a line an update

    def init_train_tqdm(self) -> Tqdm:
        """A bar that counts edits."""
        bar = super().init_train_tqdm()
        bar.unit = "edit"
        return bar

    @property
    def test_description(self) -> str:
        """What stands before the bar."""
        return f"Asking {getattr(self.trainer.lightning_module, 'prefix', '')}"

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        """One epoch is the whole stream, so the number of the epoch says nothing."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description("Editing")

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Keys as a whole number; no version number."""
        items = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        if isinstance(items.get("keys"), float):
            items["keys"] = int(items["keys"])  # type: ignore[arg-type]
        return items


class ProgressLog(Callback):
    """A line now and then of how far a run is, where no terminal shows the bar: in log files and in batch systems.

    Args:
        every_s: seconds between two lines.
        clock: seconds, for tests.
    """

    def __init__(self, every_s: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.every_s, self.clock = every_s, clock
        self.started = self.told = 0.0
        self.first = 0  # of this process: a resumed run goes on where another one ended

    def _start(self) -> None:
        self.started = self.told = self.clock()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from here."""
        self.first = trainer.global_step
        self._start()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from here."""
        self._start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Edits made, of how many, and seconds each."""
        now = self.clock()
        if self._due(trainer, now):
            each = (now - self.started) / max(trainer.global_step - self.first, 1)
            log.info("%d of %s edits, %.2f s each", trainer.global_step, trainer.num_training_batches, each)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Batches of questions asked, of how many."""
        if self._due(trainer, self.clock()):
            total = sum(int(count) for count in trainer.num_test_batches)
            log.info("asked %d of %d batches of questions", batch_idx + 1, total)

    def _due(self, trainer: Trainer, now: float) -> bool:
        if not trainer.is_global_zero or sys.stdout.isatty() or now - self.told < self.every_s:
            return False
        self.told = now
        return True


class EditCheckpoint(ModelCheckpoint):
    """The state after every N edits, for ``resume=last``; the last two are kept, should one be damaged.

    Args:
        every_n_edits: edits between two checkpoints.
        dirpath: where they lie.
    """

    def __init__(self, every_n_edits: int, dirpath: str | None = None) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="edit-{step:06d}",  # no "=", which Hydra would take for an option's
            auto_insert_metric_name=False,
            monitor="step",
            mode="max",
            save_top_k=2,
            every_n_train_steps=every_n_edits,
            save_last=True,
            enable_version_counter=False,  # a run that goes on from an older one replaces the newer
            save_on_exception=True,
            save_on_train_epoch_end=False,
        )


class ReplicaGuard(Callback):
    """Fails loudly when ranks that should hold the same codebook do not.

    Args:
        every_n_edits: edits between two comparisons; the last edit is always followed by one.
    """

    def __init__(self, every_n_edits: int = 50) -> None:
        self.every_n_edits = every_n_edits

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare every N edits."""
        if trainer.world_size > 1 and (batch_idx + 1) % self.every_n_edits == 0:
            self._compare(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare once more."""
        if trainer.world_size > 1:
            self._compare(trainer, pl_module)

    def _compare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        editor: Any = getattr(pl_module, "editor", None)
        if editor is None or not editor.capabilities.shares_keys_across_ranks:
            return
        sums = gather(editor.checksum())
        if len(set(sums)) > 1:
            raise RuntimeError(_differing(sums, trainer.global_step))


def _differing(sums: list[str], edits: int) -> str:
    """Which ranks hold something else than most do, in words.

    >>> _differing(["a", "a", "b"], 50)
    'after 50 edits rank 2 holds other edits than rank 0, 1: the run stops, for its figures would mix the two'
    >>> _differing(["a", "b"], 50)
    'after 50 edits rank 1 holds other edits than rank 0: the run stops, for its figures would mix the two'
    """
    common = max(dict.fromkeys(sums), key=sums.count)  # of equally many, that of the first rank
    odd = ", ".join(str(rank) for rank, found in enumerate(sums) if found != common)
    others = ", ".join(str(rank) for rank, found in enumerate(sums) if found == common)
    return (
        f"after {edits} edits rank {odd} holds other edits than rank {others}: "
        "the run stops, for its figures would mix the two"
    )
