"""Edits that contradict each other: the same question about the same picture, with another answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rv_edit.codebook.entries import normal_form

if TYPE_CHECKING:
    from rv_edit.codebook import Codebook


@dataclass(frozen=True)
class Contradiction:
    """One question about one picture that edits answer differently.

    Attributes:
        image: SHA-256 of the picture's file.
        question: as the newest of them words it.
        answers: edit id -> its answer, oldest first.
        in_force: the edit whose answer holds, the newest unless it was undone.
    """

    image: str
    question: str
    answers: dict[str, str]
    in_force: str

    def __str__(self) -> str:
        """One line for people."""
        told = "; ".join(f"{edit_id} says {answer!r}" for edit_id, answer in self.answers.items())
        return f"{self.question} (picture {self.image[:12]}): {told}; in force: {self.in_force}"


def contradictions(book: Codebook) -> tuple[Contradiction, ...]:
    """All contradictions among the edits of ``book``, in the order of their first edits."""
    asked: dict[tuple[str, str], list[int]] = {}
    for position, entry in enumerate(book.ledger.entries):
        if entry.subject is not None:
            asked.setdefault(entry.subject, []).append(position)
    found = []
    for (image, _), positions in asked.items():
        entries = [book.ledger.entries[position] for position in positions]
        if len({entry.answer for entry in entries}) == 1:
            continue
        live = [entry for at, entry in zip(positions, entries, strict=True) if at not in book.ledger.retired]
        found.append(
            Contradiction(
                image,
                str(entries[-1].provenance["question"]),
                {entry.edit_id: str(entry.provenance.get("answer", entry.text)) for entry in entries},
                live[-1].edit_id,
            )
        )
    return tuple(found)


def contradicted(book: Codebook, image: str, question: str, answer: str) -> tuple[str, ...]:
    """Ids of the edits in force that answer ``question`` about ``image`` differently."""
    subject, said = (image, normal_form(question)), normal_form(answer)
    return tuple(
        entry.edit_id
        for position, entry in enumerate(book.ledger.entries)
        if entry.subject == subject and position not in book.ledger.retired and entry.answer != said
    )
