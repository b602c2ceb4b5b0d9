"""Evaluation suites (paper 4.1): who makes their questions, and the checks that every made suite must pass.

A provider knows how to make questions about an edit; it is asked here, edit by edit, and what it returns is
checked. A wrong label (suite, edit id, repeated question id) is a fault of the provider and raises; a question
that does not test what its suite claims is dropped and counted, never bent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from data_modules.qa_record import QARecord
from data_modules.records import SUITES, Edit, Question, RecordError
from data_modules.text import answer_key, question_key

ErrorChain = tuple[int, ...]
"""Indices of the facts of an edit that induce the error, in order; empty: none does."""

ChainsOf = Callable[[Sequence[Edit]], Sequence[ErrorChain]]
"""The VLM's error chain for each edit (paper 4.1, CoE-Gen)."""

WasRight = Callable[[Sequence[Question]], Sequence[bool]]
"""Whether the unedited VLM answers each question right."""


class SuiteProvider(Protocol):
    """Makes the questions of the generality suites. All are pure functions of their arguments.

    A provider that cannot make all that it means to make counts what is missing, by suite, in a ``Counter`` named
    ``lost``; the report of a build then says so.
    """

    def t_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The edited question in other words, on the edit's picture."""
        ...

    def i_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The edited question on other pictures of the same content."""
        ...

    def r_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """A question on each non-empty ordered subset of the facts, each with a picture of its own."""
        ...

    def coe_gen(self, edit: Edit, record: QARecord, error_chain: ErrorChain) -> list[Question]:
        """Questions on new pictures that show the error-inducing facts."""
        ...

    def contrast(self, edit: Edit, record: QARecord) -> list[Question]:
        """The edited question word for word on pictures where another answer is true."""
        ...


@dataclass
class SuiteReport:
    """What became of the questions: ``made`` and ``dropped`` per suite (with the reason), edits without any."""

    made: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """One line a suite, then one for each reason for which questions were dropped."""
        made = [
            f"{suite}: {self.made[suite]} questions"
            + (f", none for {self.empty[suite]} edits" if self.empty[suite] else "")
            for suite in SUITES
            if self.made[suite] or self.empty[suite]
        ]
        return made + [f"  {suite}: {n} dropped: {why}" for (suite, why), n in sorted(self.dropped.items())]


def build_suites(
    provider: SuiteProvider | None,
    edits: Sequence[Edit],
    records: Mapping[str, QARecord],
    chains_of: ChainsOf | None = None,
    loc: Sequence[Question] = (),
    *,
    was_right: WasRight | None = None,
    report: SuiteReport | None = None,
) -> dict[str, list[Question]]:
    """Make and check all suites, each in the order of the edits.

    Args:
        provider: makes the generality suites; ``None``: only ``acc`` and ``loc``.
        edits: the edit stream.
        records: the record of each edit, by its id.
        chains_of: gives the error chains; ``None``: there is no CoE suite.
        loc: the locality questions, already drawn.
        was_right: keeps those contrast questions that the unedited model answers right; ``None`` keeps all.
        report: filled with counts.

    Returns:
        ``{suite: questions}`` with all of :data:`SUITES`, empty where nothing could be made.

    Raises:
        RecordError: an edit without a record, or a wrongly labelled question.
    """
    report = SuiteReport() if report is None else report
    suites: dict[str, list[Question]] = {suite: [] for suite in SUITES}
    suites["acc"] = [edit.as_question() for edit in edits]
    suites["loc"] = list(loc)
    for edit in edits if provider is not None else ():
        if edit.id not in records:
            raise RecordError(f"edit {edit.id}: its record is missing, so that no suite can be made for it")
    if provider is not None:
        chains = chains_of(edits) if chains_of is not None else [()] * len(edits)
        lost = Counter(getattr(provider, "lost", ()))
        for edit, chain in zip(edits, chains, strict=True):
            record = records[edit.id]
            made = {
                "t_gen": provider.t_gen(edit, record),
                "i_gen": provider.i_gen(edit, record),
                "r_gen": provider.r_gen(edit, record),
                "coe_gen": provider.coe_gen(edit, record, chain) if chain else [],
                "contrast": provider.contrast(edit, record),
            }
            for suite, questions in made.items():
                suites[suite] += _checked(suite, edit, questions, report)
        for suite, number in (Counter(getattr(provider, "lost", ())) - lost).items():
            report.dropped[suite, "could not be made"] += number
    if was_right is not None and suites["contrast"]:
        right = was_right(suites["contrast"])
        report.dropped["contrast", "the unedited model was wrong already"] += len(right) - sum(right)
        suites["contrast"] = [item for item, kept in zip(suites["contrast"], right, strict=True) if kept]
    _count(suites, edits, provider is not None, report)
    return suites


def _checked(suite: str, edit: Edit, questions: Sequence[Question], report: SuiteReport) -> list[Question]:
    """The questions that test what ``suite`` claims to test."""
    kept: list[Question] = []
    for question in questions:
        if question.suite != suite or question.edit_id != edit.id:
            label = f"suite '{question.suite}', edit {question.edit_id}"
            raise RecordError(f"question {question.id}: labelled {label}, made for '{suite}', edit {edit.id}")
        why = _objection(suite, edit, question)
        if why is None:
            kept.append(question)
        else:
            report.dropped[suite, why] += 1
    return kept


def _objection(suite: str, edit: Edit, question: Question) -> str | None:
    """Why a question does not belong into its suite; ``None``: it does."""
    if len(set(question.choices)) < 2 or not 0 <= question.target < len(question.choices):
        return "fewer than two choices, or no right one"
    same_text = question_key(question.text) == question_key(edit.question)
    same_image = question.image.sha == edit.image.sha
    same_answer = answer_key(question.choices[question.target]) == answer_key(edit.answer)
    if suite == "t_gen":
        if same_text:
            return "the edited question itself, not a rephrasing"
        return None if same_image and same_answer else "another picture or another answer than the edit's"
    if suite == "r_gen":
        return "the edited question itself" if same_text else None
    if suite in ("i_gen", "coe_gen"):
        if same_image:
            return "the edit's own picture"
        return None if same_text and same_answer else "another question or another answer than the edit's"
    if suite == "contrast":
        if same_image or not same_text:
            return "the edit's own picture, or another question"
        return "the edit's answer is true here too" if same_answer else None
    return None


def _count(suites: Mapping[str, Sequence[Question]], edits: Sequence[Edit], full: bool, report: SuiteReport) -> None:
    """Count questions and edits without any; refuse repeated ids."""
    ids = Counter((suite, question.id) for suite, questions in suites.items() for question in questions)
    repeated = [f"{suite}/{name}" for (suite, name), times in ids.items() if times > 1]
    if repeated:
        raise RecordError(f"{len(repeated)} question ids occur more than once within a suite, e.g. {repeated[0]}")
    for suite, questions in suites.items():
        report.made[suite] = len(questions)
        if full and suite not in ("acc", "loc"):
            report.empty[suite] = len({edit.id for edit in edits} - {question.edit_id for question in questions})
