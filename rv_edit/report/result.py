"""What a run found, as one value: everything the reports are made from, and nothing of how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from data_modules.records import SUITES, Answer, Edit, EditReceipt, Question
from rv_edit.editors.answering import is_right
from rv_edit.report.measure import Mark, Measured, measure
from rv_edit.report.provenance import git_hash, versions

Asked = tuple[Question, Answer]

KIB = 1024


@dataclass(frozen=True)
class Skipped:
    """A record that was left out, and why."""

    record: str
    reason: str


@dataclass(frozen=True)
class Row:
    """One question with its answers before and after the edits; ``before`` is ``None`` where it was not asked."""

    question: Question
    before: Answer | None
    after: Answer

    def is_right(self, answer: Answer | None) -> bool | None:
        """Whether ``answer`` names a choice that reads like the right one; ``None`` without an answer."""
        return None if answer is None else is_right(self.question, answer)

    @property
    def right(self) -> bool:
        """Whether the question is answered right after the edits."""
        return bool(self.is_right(self.after))


@dataclass(frozen=True)
class RunResult:
    """A run's edits, answers and figures.

    Attributes:
        config: the resolved options, as plain containers.
        seed: the seed of the run.
        edits: in the order in which they were made; those that could not be made are among them, with their questions.
        receipts: of the edits that were made, in the same order; an editor that makes none leaves none.
        before: every question with the unedited model's answer, in any order.
        after: every question with the edited model's answer, in any order.
        codebook: a summary of what is stored: ``keys``, ``nbytes``, ``checksum`` and whatever else tells (``edits``
            where there are more than receipts); empty for editors that store nothing.
        timings: seconds by part of the run.
        skipped: records that were left out.
        error_counts: whatever else was counted on the way (dropped pictures, empty error chains, …).
        versions: of what computed the figures.
        git_hash: the commit of the code, where known.
        peak_memory_mb: MiB at the peak while editing, where known.
        curve: the rounds of sequential editing (paper 4.4), the fields of :class:`rv_edit.editors.sequential.Point`.
    """

    config: Mapping[str, Any]
    seed: int
    edits: Sequence[Edit]
    receipts: Sequence[EditReceipt]
    before: Sequence[Asked]
    after: Sequence[Asked]
    codebook: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    skipped: Sequence[Skipped] = ()
    error_counts: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)
    git_hash: str | None = field(default_factory=git_hash)
    peak_memory_mb: float | None = None
    curve: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every question once, by suite, edit and id: the same order however many processes asked them."""
        first = {key: answer for question, answer in self.before for key in _keys(question)[::-1]}
        made = {edit.id: place for place, edit in enumerate(self.edits)}
        rows = []
        for question, answer in self.after:
            own, shared = _keys(question)
            rows.append(Row(question, first.get(own, first.get(shared)), answer))
        return tuple(
            sorted(
                rows,
                key=lambda row: (
                    _suite_place(row.question.suite),
                    made.get(row.question.edit_id or "", len(made)),
                    row.question.edit_id or "",
                    row.question.id,
                ),
            )
        )

    @cached_property
    def suites(self) -> tuple[str, ...]:
        """The suites that were asked, in the order of reports."""
        return tuple(dict.fromkeys(row.question.suite for row in self.rows))

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Measured]]:
        """``before`` and ``after`` -> suite -> mean, 95 % interval and number of questions (paper 4.1)."""
        return {when: self._measured[when][0] for when in ("before", "after")}

    @property
    def accept_rate(self) -> Mapping[str, float | None]:
        """Share of each suite's questions whose retrieval was accepted; ``None`` where nothing is retrieved."""
        return self._measured["after"][1]

    @cached_property
    def _measured(self) -> dict[str, tuple[dict[str, Measured], dict[str, float | None]]]:
        suites = [*SUITES, *(suite for suite in self.suites if suite not in SUITES)]
        before = [_mark(row, row.before) for row in self.rows if row.before is not None]
        after = [_mark(row, row.after) for row in self.rows]
        return {"before": measure(before, suites, self.seed), "after": measure(after, suites, self.seed)}

    @property
    def edits_made(self) -> int:
        """Edits in force."""
        return int(self.codebook.get("edits", len(self.receipts)))

    @property
    def seconds_per_edit(self) -> float | None:
        """Mean wall time of an edit by itself, without any evaluation (paper 4.4)."""
        return sum(receipt.seconds for receipt in self.receipts) / len(self.receipts) if self.receipts else None

    @property
    def kb_per_edit(self) -> float | None:
        """KiB that an edit takes up: the codebook's size where it is known, else the sum of the receipts'."""
        return self._per_edit("nbytes", sum(receipt.bytes_added for receipt in self.receipts) / KIB, KIB)

    @property
    def keys_per_edit(self) -> float | None:
        """Entries that an edit takes up, after merging."""
        return self._per_edit("keys", sum(receipt.keys_added for receipt in self.receipts), 1)

    def _per_edit(self, stored: str, receipts: float, unit: int) -> float | None:
        total = float(self.codebook[stored]) / unit if stored in self.codebook else float(receipts)
        return total / self.edits_made if self.edits_made else None

    def receipt_of(self, edit_id: str) -> EditReceipt | None:
        """What an edit stored; ``None`` where it was not made."""
        return self._receipts.get(edit_id)

    @cached_property
    def _receipts(self) -> Mapping[str, EditReceipt]:
        return {receipt.edit_id: receipt for receipt in self.receipts}

    def rows_of(self, edit_id: str) -> tuple[Row, ...]:
        """The questions asked about one edit, those of the Loc suite apart, which belong to none."""
        return self._by_edit.get(edit_id, ())

    @cached_property
    def _by_edit(self) -> Mapping[str, tuple[Row, ...]]:
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.question.edit_id is not None and row.question.suite != "loc":
                found.setdefault(row.question.edit_id, []).append(row)
        return {edit_id: tuple(rows) for edit_id, rows in found.items()}


def _mark(row: Row, answer: Answer) -> Mark:
    question = row.question
    right = bool(row.is_right(answer))
    return {"suite": question.suite, "edit_id": question.edit_id, "right": right, "accepted": answer.accepted}


def _keys(question: Question) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What tells a question: with its edit, and, as the same Loc question may be asked after several, without."""
    return (question.suite, question.id, question.edit_id or ""), (question.suite, question.id)


def _suite_place(suite: str) -> tuple[int, str]:
    """Known suites in the order of reports, others after them by name."""
    return (SUITES.index(suite), "") if suite in SUITES else (len(SUITES), suite)
