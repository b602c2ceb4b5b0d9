"""What people get to see: answers, and edits with who made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data_modules.records import Box


@dataclass(frozen=True)
class Reply:
    """An answer; as text it reads like it.

    Attributes:
        text: the answer, generated or one of ``choices``.
        choices: what there was to choose from; empty for a generated answer.
        scores: log-likelihood of each choice.
        facts: sentences put before the question.
        distances: of the nearest keys, nearest first.
        accepted: whether the question was near enough to an edit; ``None`` without edits.
        threshold: the largest distance that would have been; ``None`` without edits.
        ended: whether a generated answer came to its end; else ``max_new_tokens`` cut it off.
    """

    text: str
    choices: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    facts: tuple[str, ...] = ()
    distances: tuple[float, ...] = ()
    accepted: bool | None = None
    threshold: float | None = None
    ended: bool = True

    def __str__(self) -> str:
        """The answer."""
        return self.text


@dataclass(frozen=True)
class About:
    """What an edit says of itself beside its facts: attribution, and what making it cost.

    Attributes:
        author: who made it, as they said; empty where unknown.
        created: UTC, ISO 8601 to the microsecond; empty where unknown, which counts as earliest.
        seconds: that making it took.
    """

    author: str = ""
    created: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class MadeEdit:
    """An edit in a codebook, as its maker stated it.

    Attributes:
        id: what :meth:`EditedVLM.undo` takes.
        image: SHA-256 of the picture's file.
        question, answer, reasoning: as stated.
        evidence: index of a fact -> the parts of the picture that stand for it, given or found.
        superseded_by: the edit whose answer holds instead of this one's, where there is one.
        about: who, when, how long.
    """

    id: str
    image: str
    question: str
    answer: str
    reasoning: tuple[str, ...] = ()
    evidence: Mapping[int, tuple[Box, ...]] = field(default_factory=dict)
    superseded_by: str | None = None
    about: About = field(default_factory=About)

    def as_json(self) -> dict[str, Any]:
        """Plain values, as the service and files show them."""
        return {
            "id": self.id,
            "image_sha256": self.image,
            "question": self.question,
            "answer": self.answer,
            "reasoning": list(self.reasoning),
            "evidence": {str(fact): [list(box) for box in boxes] for fact, boxes in self.evidence.items()},
            "superseded_by": self.superseded_by,
            "author": self.about.author,
            "created": self.about.created,
        }
