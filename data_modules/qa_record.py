"""One rationale-VQA record as every source gives it, and the report of what a source kept and skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_modules.records import Box, Edit, ImageRef, Question, RecordError
from data_modules.text import clean_text


@dataclass(frozen=True)
class QARecord:
    """A question with choices, its true answer and the human reasoning that leads to it.

    ``choices`` are distinct and at least two, ``answer`` is one of them, ``reasoning`` holds one sentence an
    item. ``extras`` are the source's other fields, for those who build suites. ``evidence`` maps a fact's index to
    the crops that its author drew for it; a fact without any gets crops found.
    """

    id: str
    image: ImageRef
    question: str
    choices: tuple[str, ...]
    answer: str
    reasoning: tuple[str, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict, repr=False)
    evidence: Mapping[int, tuple[Box, ...]] = field(default_factory=dict)

    @property
    def target(self) -> int:
        """Index of the answer among the choices."""
        return self.choices.index(self.answer)

    def as_edit(self) -> Edit:
        """What a person would state about a wrong answer here (paper 3.1)."""
        return Edit(self.id, self.image, self.question, self.choices, self.answer, self.reasoning, self.evidence)

    def as_question(self, suite: str = "loc", edit_id: str | None = None) -> Question:
        """The record as a question of ``suite``."""
        return Question(self.id, self.image, self.question, self.choices, self.target, suite, edit_id)


@dataclass
class ReadReport:
    """What became of a source's records: kept, skipped with the reason, and how often a rule applied.

    ``counts`` name the rules: ``merged_choices``, ``duplicate_reasoning``, ``derived_choices``, …. ``listed`` is how
    many questions the files hold, on how many different ``pictures``. ``notes`` are lines on the source as a whole:
    what it should hold, what is missing and how to get it; ``whole`` tells whether it holds what was published
    (``None``: not known how much that is).
    """

    source: str = ""
    kept: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    listed: int = 0
    pictures: int = 0
    notes: list[str] = field(default_factory=list)
    whole: bool | None = None

    def summary(self) -> str:
        """One line: how many records were kept and skipped, and the rules that applied."""
        rules = "".join(f", {count} {name.replace('_', ' ')}" for name, count in sorted(self.counts.items()) if count)
        return f"{self.source}: {self.kept} records kept, {len(self.skipped)} skipped{rules}"

    def lines(self, limit: int = 10) -> list[str]:
        """The summary, the notes, then a line for each of the first ``limit`` skipped records."""
        listed = [f"  skipped {clean_text(record)}: {reason}" for record, reason in self.skipped[:limit]]
        more = len(self.skipped) - len(listed)
        notes = [f"  {note}" for note in self.notes]
        return [self.summary(), *notes, *listed, *([f"  … and {more} more"] if more > 0 else [])]


def merge_choices(choices: Sequence[str], answer: str) -> tuple[tuple[str, ...], str, int]:
    """Clean ``choices``, merge those that differ in case at most, and find the answer's spelling among them.

    Returns:
        The distinct choices in order, the answer as it is spelt there, and how many duplicates were merged.

    Raises:
        RecordError: fewer than two choices are left, or the answer is not among them.

    >>> merge_choices(["air", "Water", "road", "road"], "water")
    (('air', 'Water', 'road'), 'Water', 1)
    """
    spelling: dict[str, str] = {}
    cleaned = [choice for choice in map(clean_text, choices) if choice]
    for choice in cleaned:
        spelling.setdefault(choice.casefold(), choice)
    if len(spelling) < 2:
        raise RecordError(f"{len(spelling)} distinct choice(s), at least 2 are needed")
    found = spelling.get(clean_text(answer).casefold())
    if found is None:
        raise RecordError(f"answer {clean_text(answer)[:60]!r} is not among the choices {list(spelling.values())}")
    return tuple(spelling.values()), found, len(cleaned) - len(spelling)


def clean_sentences(sentences: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Clean reasoning sentences, drop empty and repeated ones; also how many were dropped as repeated."""
    cleaned = [sentence for sentence in map(clean_text, sentences) if sentence]
    distinct = tuple(dict.fromkeys(cleaned))
    return distinct, len(cleaned) - len(distinct)
