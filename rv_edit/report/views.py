"""An edit as the gallery shows it: plain values, every text cleaned, nothing left to compute in the template."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_modules.records import SUITES, Answer, Box, Edit, EditReceipt
from rv_edit.report.pictures import FACT_COLOURS, Crop, Picture, crops_of, embed, fact_label
from rv_edit.report.result import Row, RunResult
from rv_edit.report.table import metric_name


@dataclass(frozen=True)
class ChoiceView:
    """A choice with its probability among the choices, before and after."""

    text: str
    target: bool
    chosen_before: bool
    chosen_after: bool
    before: float | None
    after: float | None


@dataclass(frozen=True)
class FactView:
    """A fact of the reasoning, as labelled on the picture; ``crops`` drawn for it, ``given`` by the user."""

    label: str
    text: str
    colour: int
    crops: int
    given: bool


@dataclass(frozen=True)
class RetrievedView:
    """A sentence put before the question; ``distance`` of the key that held it, where that is told."""

    text: str
    distance: float | None


@dataclass(frozen=True)
class AskedView:
    """One question's outcome."""

    question: str
    right_before: bool | None
    right_after: bool
    answer_before: str | None
    answer_after: str
    target: str
    accepted: bool | None
    threshold: float | None
    distances: tuple[float, ...]
    retrieved: tuple[RetrievedView, ...]


@dataclass(frozen=True)
class SuiteView:
    """The questions of one suite about one edit."""

    name: str
    right_before: int
    right_after: int
    asked: tuple[AskedView, ...]


@dataclass(frozen=True)
class EditView:
    """A card of the gallery."""

    number: int
    id: str
    question: str
    answer: str
    picture: Picture | None
    crops: tuple[Crop, ...]
    facts: tuple[FactView, ...]
    choices: tuple[ChoiceView, ...]
    own: AskedView | None
    suites: tuple[SuiteView, ...]
    keys_added: int
    keys_merged: int
    seconds: float
    notes: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether the edited question itself is answered right."""
        return self.own is not None and self.own.right_after

    @property
    def wrong_anywhere(self) -> bool:
        """Whether any question about this edit is answered wrong."""
        return any(suite.right_after < len(suite.asked) for suite in self.suites)


def clean(text: str) -> str:
    r"""``text`` without what a page cannot hold or would be led astray by: controls and lone surrogates.

    >>> ascii(clean("a\x00b\tc"))
    "'a\\ufffdb c'"
    """
    return "".join(
        " " if letter in "\n\r\t" else "\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter
        for letter in text
    )


def probabilities(scores: Sequence[float]) -> list[float]:
    """Softmax over the choices' log-likelihoods; equal shares where none is finite."""
    finite = [score for score in scores if math.isfinite(score)]
    if not finite:
        return [1 / len(scores)] * len(scores)
    highest = max(finite)
    weights = [math.exp(score - highest) if math.isfinite(score) else 0.0 for score in scores]
    return [weight / sum(weights) for weight in weights]


def asked_view(row: Row) -> AskedView:
    """One question with what was retrieved for it."""
    question, after = row.question, row.after
    return AskedView(
        question=clean(question.text),
        right_before=row.is_right(row.before),
        right_after=row.right,
        answer_before=None if row.before is None else clean(question.choices[row.before.prediction]),
        answer_after=clean(question.choices[after.prediction]),
        target=clean(question.choices[question.target]),
        accepted=after.accepted,
        threshold=after.threshold,
        distances=after.distances,
        retrieved=_retrieved(after),
    )


def edit_view(result: RunResult, place: int, longest: int, quality: int) -> EditView:
    """The card of edit number ``place`` (from 0), its picture at most ``longest`` pixels a side."""
    edit, rows = result.edits[place], result.rows_of(result.edits[place].id)
    receipt = result.receipt_of(edit.id) or EditReceipt(edit.id)
    evidence = {**edit.evidence, **receipt.evidence}
    own = next((row for row in rows if row.question.suite == "acc"), None)
    return EditView(
        number=place + 1,
        id=clean(edit.id),
        question=clean(edit.question),
        answer=clean(edit.answer),
        picture=embed(edit.image, longest, quality),
        crops=tuple(crops_of(evidence)),
        facts=_facts(edit, evidence),
        choices=_choices(edit, own),
        own=None if own is None else asked_view(own),
        suites=_suites(rows),
        keys_added=receipt.keys_added,
        keys_merged=receipt.keys_merged,
        seconds=receipt.seconds,
        notes=(*_notes(receipt), *_not_made(result, edit)),
    )


def _retrieved(answer: Answer) -> tuple[RetrievedView, ...]:
    """Each sentence with the distance of its key; without one where the editor does not tell."""
    told = answer.fact_distances or (None,) * len(answer.facts)
    return tuple(RetrievedView(clean(fact), distance) for fact, distance in zip(answer.facts, told, strict=True))


def _not_made(result: RunResult, edit: Edit) -> tuple[str, ...]:
    """Why an edit was not made; nothing where it was."""
    return tuple(clean(f"not made: {one.reason}") for one in result.skipped if one.record == edit.id)


def _notes(receipt: EditReceipt) -> tuple[str, ...]:
    superseded = [f"supersedes {receipt.superseded}"] if receipt.superseded else []
    return tuple(clean(note) for note in [*superseded, *receipt.notes])


def _facts(edit: Edit, evidence: Mapping[int, Sequence[Box]]) -> tuple[FactView, ...]:
    return tuple(
        FactView(
            label=fact_label(index),
            text=clean(fact),
            colour=index % FACT_COLOURS,
            crops=len(evidence.get(index, ())),
            given=index in edit.evidence,
        )
        for index, fact in enumerate(edit.reasoning)
    )


def _choices(edit: Edit, own: Row | None) -> tuple[ChoiceView, ...]:
    """The choices in order; without probabilities where the question itself was not asked."""
    before = probabilities(own.before.scores) if own is not None and own.before is not None else None
    after = probabilities(own.after.scores) if own is not None else None
    return tuple(
        ChoiceView(
            text=clean(choice),
            target=choice == edit.answer,
            chosen_before=own is not None and own.before is not None and own.before.prediction == index,
            chosen_after=own is not None and own.after.prediction == index,
            before=None if before is None else before[index],
            after=None if after is None else after[index],
        )
        for index, choice in enumerate(edit.choices)
    )


def _suites(rows: Sequence[Row]) -> tuple[SuiteView, ...]:
    """By suite in the order of reports, the edited question itself first."""
    names = dict.fromkeys([*SUITES, *(row.question.suite for row in rows)])
    views = []
    for name in names:
        asked = tuple(asked_view(row) for row in rows if row.question.suite == name)
        if asked:
            right_before = sum(bool(one.right_before) for one in asked)
            views.append(SuiteView(metric_name(name), right_before, sum(one.right_after for one in asked), asked))
    return tuple(views)
