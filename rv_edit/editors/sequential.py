"""Sequential editing (paper 4.4): between edits, some of those made so far are asked about.

The questions are asked at the end of a training step rather than in Lightning's validation. A checkpoint is written
after the step, so it holds the round that belongs to its edit: a run that dies loses no round and repeats none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from data_modules.probing import Probing
from data_modules.records import Edit, Question
from data_modules.samplers import ImageBatches
from rv_edit.editors.answering import is_right
from rv_edit.editors.base import Editor
from rv_edit.editors.module import Asked, EditorModule
from rv_edit.editors.strategy import gather, rank_and_world
from rv_edit.metrics import EditMetrics, accept_rates, summary


@dataclass(frozen=True)
class Point:
    """One round.

    Attributes:
        edits: made so far, those that the run went on with among them.
        asked_edits: about how many of them questions were asked.
        metrics: suite -> mean over questions, 95 % interval and number of questions (paper 4.1).
        accept_rate: suite -> share of questions whose retrieval was accepted; ``None`` where nothing is retrieved.
        seconds_per_edit: mean over the edits since the round before; ``None`` where none of them was made.
        keys: entries stored.
        nbytes: bytes that the edits take up.
    """

    edits: int
    asked_edits: int
    metrics: Mapping[str, Mapping[str, Any]]
    accept_rate: Mapping[str, float | None]
    seconds_per_edit: float | None
    keys: int
    nbytes: int

    def figures(self) -> dict[str, float]:
        """What a logger gets: ``sequential/acc``, ``sequential/accept/acc``, ``sequential/seconds_per_edit``, …."""
        named: dict[str, float | None] = {suite: figure["mean"] for suite, figure in self.metrics.items()}
        named |= {f"accept/{suite}": rate for suite, rate in self.accept_rate.items()}
        named |= {"seconds_per_edit": self.seconds_per_edit, "keys": float(self.keys), "kb": self.nbytes / 1024}
        found = {f"sequential/{name}": value for name, value in named.items() if value is not None}
        return {"sequential/edits": float(self.edits), **found}


class SequentialModule(EditorModule):
    """An edit a step; every so many steps, some of the edits made so far are asked about.

    Args:
        editor: the plain object that does the work.
        edits: all edits, those in force before the stream first.
        previous: how many of them those are.
        questions: of the suites, on the edits that a round may draw; those of no edit are asked in every round.
        probing: when a round is due, and what it draws.
        batch_size: questions put to the editor at a time.
        prefix: as in :class:`EditorModule`.
    """

    def __init__(
        self,
        editor: Editor,
        edits: Sequence[Edit],
        previous: int,
        questions: Sequence[Question],
        probing: Probing,
        batch_size: int = 64,
        prefix: str = "test",
    ) -> None:
        super().__init__(editor, prefix)
        self.edits = tuple(edits)
        self.previous = previous
        self.questions = tuple(questions)
        self.probing = probing
        self.batch_size = batch_size
        self.curve: list[Point] = []

    def training_step(self, batch: Edit | Sequence[Edit], batch_idx: int) -> None:
        """Make one edit; ask where a round is due."""
        super().training_step(batch, batch_idx)
        made = batch_idx + 1
        if self.probing.is_due(made, len(self.edits) - self.previous):
            self.curve.append(self._round(self.previous + made))
            self._log_round(self.curve[-1])

    def on_train_start(self) -> None:
        """A resumed run's loggers get the rounds of before, too."""
        super().on_train_start()
        for point in self.curve:
            self._log_round(point)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the rounds too."""
        checkpoint["curve"] = [asdict(point) for point in self.curve]
        super().on_save_checkpoint(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the rounds of before."""
        super().on_load_checkpoint(checkpoint)
        self.curve = [Point(**point) for point in checkpoint.get("curve", [])]

    def _round(self, done: int) -> Point:
        refused = {name for name, _ in self.refused}
        drawn = self.probing.drawn(self.edits, done) - refused
        asked = self._ask(drawn)
        metrics = EditMetrics(seed=self.probing.seed, sync_on_compute=False)  # every rank has all answers already
        metrics.update(
            [question.suite for question, _ in asked],
            [question.edit_id for question, _ in asked],
            [is_right(question, answer) for question, answer in asked],
            [answer.accepted for _, answer in asked],
        )
        computed = metrics.compute()
        return Point(
            done,
            len(drawn),
            summary(computed),
            accept_rates(computed),
            self._seconds(done),
            self.editor.num_keys,
            self.editor.nbytes,
        )

    def _ask(self, drawn: frozenset[str]) -> list[Asked]:
        """The answers of all ranks, each question asked by one of them."""
        chosen = [
            place
            for place, question in enumerate(self.questions)
            if question.edit_id is None or question.edit_id in drawn
        ]
        asked: list[Asked] = []
        for batch in ImageBatches(self.questions, self.batch_size, *rank_and_world(), select=lambda: chosen):
            questions = [self.questions[place] for place in batch]
            asked += zip(questions, self.editor.answer(questions) if questions else (), strict=True)
        return [pair for part in gather(asked) for pair in part]

    def _seconds(self, done: int) -> float | None:
        since = self.curve[-1].edits if self.curve else self.previous
        window = {edit.id for edit in self.edits[since:done]}
        seconds = [receipt.seconds for receipt in self.receipts if receipt.edit_id in window]
        return math.fsum(seconds) / len(seconds) if seconds else None

    def _log_round(self, point: Point) -> None:
        self._log(point.figures(), point.edits - self.previous)
