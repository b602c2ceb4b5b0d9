"""The Lightning shell around a plain editor: one training step is one edit is one ``global_step``."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from lightning import LightningModule

from data_modules.records import Answer, Edit, EditReceipt, Question, RecordError
from data_modules.text import clean_text
from rv_edit.editors.ahead import Ahead
from rv_edit.editors.answering import is_right
from rv_edit.editors.base import EditDivergedError, Editor
from rv_edit.editors.sealing import seal
from rv_edit.editors.strategy import gather
from rv_edit.metrics import EditMetrics

log = logging.getLogger(__name__)

Asked = tuple[Question, Answer]


class EditorModule(LightningModule):
    """Edits in ``fit``, questions in ``validate`` and ``test``.

    Every rank applies every edit; questions are shared out by the loader's sampler, and answers are gathered.
    Checkpoints hold what edits changed (:attr:`Editor.memory`) and the receipts, never the frozen model.

    Args:
        editor: the plain object that does the work; it is not a submodule, so nothing of the model is saved.
        prefix: what the names of logged metrics start with, ``test`` or ``before``.
    """

    def __init__(self, editor: Editor, prefix: str = "test") -> None:
        super().__init__()
        self.automatic_optimization = False
        self.strict_loading = False
        self.editor = editor
        self.prefix = prefix
        self.memory = editor.memory
        self.metrics = EditMetrics()
        self.receipts: list[EditReceipt] = []
        self.refused: list[tuple[str, str]] = []
        self.diverged: list[str] = []
        self.asked: list[Asked] = []
        self.results: dict[str, float] = {}
        self._prepared: Ahead | None = None

    def configure_optimizers(self) -> None:
        """None: Lightning's mock optimizer then counts the edits."""
        return None

    def training_step(self, batch: Edit | Sequence[Edit], batch_idx: int) -> None:
        """Make one edit; several ranks prepare the next ones for each other (:mod:`rv_edit.editors.ahead`)."""
        edit = batch if isinstance(batch, Edit) else batch[0]
        ahead = self._ahead()
        if self._edit(edit, None if ahead is None else partial(ahead.make, batch_idx)):
            self._log_edit(batch_idx + 1)
        self.editor.replicate()
        self._count_step()

    def on_validation_epoch_start(self) -> None:
        """Forget the answers of an earlier round."""
        self.asked, self.results = [], {}
        self.metrics.reset()

    on_test_epoch_start = on_validation_epoch_start

    def test_step(self, batch: Sequence[Question], batch_idx: int) -> None:
        """Answer a batch of questions, of any suites."""
        questions = list(batch)
        answers = self.editor.answer(questions)
        self._record(questions, answers)

    validation_step = test_step

    def on_test_epoch_end(self) -> None:
        """Gather the answers of all ranks and compute the metrics."""
        self._collect()
        for name, value in self.results.items():
            self.log(f"{self.prefix}/{name}", value, rank_zero_only=True)

    on_validation_epoch_end = on_test_epoch_end

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what edits changed, and the receipts; drop the rest, and seal it."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if name.startswith("memory.")}
        checkpoint["receipts"] = [asdict(receipt) for receipt in self.receipts]
        checkpoint["refused"] = list(self.refused)
        checkpoint["diverged"] = list(self.diverged)
        seal(checkpoint)  # this hook is the last that Lightning calls

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the receipts of the edits made before."""
        self.receipts = [EditReceipt(**receipt) for receipt in checkpoint.get("receipts", [])]
        self.refused = [(name, reason) for name, reason in checkpoint.get("refused", [])]
        self.diverged = list(checkpoint.get("diverged", []))

    def on_train_start(self) -> None:
        """A resumed run writes to loggers of its own: what the edits before took goes there first."""
        edits = getattr(getattr(self.trainer, "datamodule", None), "edits", ())
        places = {edit.id: made for made, edit in enumerate(edits, 1)}
        for receipt in self.receipts:
            if receipt.edit_id in places:
                self._log({"edit_seconds": receipt.seconds}, places[receipt.edit_id])

    def on_train_end(self) -> None:
        """Another ``fit`` may bring another stream."""
        self._prepared = None

    def _ahead(self) -> Ahead | None:
        """How several ranks share the edits of the stream; ``None`` where there is nothing to share."""
        edits = getattr(getattr(self.trainer, "datamodule", None), "edits", None)
        if self.trainer.world_size == 1 or not edits or not self.editor.capabilities.prepares_ahead:
            return None
        if self._prepared is None:
            self._prepared = Ahead(self.editor, edits)
        return self._prepared

    def _edit(self, edit: Edit, make: Callable[[], EditReceipt] | None = None) -> bool:
        """Make an edit, by ``make`` if given; one that cannot be used or diverges is noted, with nothing changed."""
        try:
            receipt = self.editor.edit(edit) if make is None else make()
        except RecordError as error:
            self.refused.append((edit.id, str(error)))
            if isinstance(error, EditDivergedError):
                self.diverged.append(edit.id)
            log.warning("edit %s is not made: %s", clean_text(edit.id), clean_text(str(error)))
            return False
        self.receipts.append(receipt)
        self.log("keys", float(self.editor.num_keys), prog_bar=True, logger=False, batch_size=1)
        return True

    def _log_edit(self, made: int) -> None:
        """Every edit is a point of the loggers, whose axis is the number of edits made."""
        figures = {"edit_seconds": self.receipts[-1].seconds, "keys": float(self.editor.num_keys)}
        self._log({**figures, "kb": self.editor.nbytes / 1024}, made)

    def _log(self, figures: Mapping[str, float], made: int) -> None:
        for logger in self.loggers:
            logger.log_metrics(dict(figures), step=made)

    def _record(self, questions: list[Question], answers: list[Answer]) -> None:
        self.asked.extend(zip(questions, answers, strict=True))
        right = [is_right(question, answer) for question, answer in zip(questions, answers, strict=True)]
        self.metrics.update(
            [question.suite for question in questions],
            [question.edit_id for question in questions],
            right,
            [answer.accepted for answer in answers],
        )

    def _collect(self) -> None:
        """Bring the answers of all ranks together; the metrics do so by themselves."""
        self.asked = [pair for part in gather(self.asked) for pair in part]
        found = {name: float(value) for name, value in self.metrics.compute().items()}
        self.results = {name: value for name, value in found.items() if not math.isnan(value)}

    def _count_step(self) -> None:
        """Advance ``global_step`` by one: checkpoints, loggers and ``max_steps`` count edits by it."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.step()


class SingleEditModule(EditorModule):
    """``protocol=single``: make an edit, ask its questions, undo it, for each edit by itself.

    Edits do not meet, so each rank makes only its share of them.

    Args:
        editor: one that can undo.
        questions: per edit id, what to ask while that edit alone is in force.
        batch_size: questions put to the editor at a time.
        prefix: as in :class:`EditorModule`.
    """

    def __init__(
        self, editor: Editor, questions: dict[str, list[Question]], batch_size: int = 64, prefix: str = "test"
    ) -> None:
        super().__init__(editor, prefix)
        self.questions = questions
        self.batch_size = batch_size

    def training_step(self, batch: Edit | Sequence[Edit], batch_idx: int) -> None:
        """Edit, ask, undo."""
        edit = batch if isinstance(batch, Edit) else batch[0]
        mine = batch_idx % self.trainer.world_size == self.trainer.global_rank
        if mine:
            made = self._edit(edit)
            if made:
                self._log_edit(batch_idx + 1)
            self._ask(self.questions.get(edit.id, []))  # of the model without the edit, where it could not be made
            if made:
                self.editor.undo(edit.id)
        self._count_step()

    def _ask(self, questions: list[Question]) -> None:
        for start in range(0, len(questions), self.batch_size):
            part = questions[start : start + self.batch_size]
            self._record(part, self.editor.answer(part))

    def on_train_end(self) -> None:
        """Gather the answers and the receipts of all ranks."""
        super().on_train_end()
        self.receipts = [receipt for part in gather(self.receipts) for receipt in part]
        self.refused = [pair for part in gather(self.refused) for pair in part]
        self.diverged = [name for part in gather(self.diverged) for name in part]
        self._collect()
