"""Why a question is answered as it is: what was retrieved for it, how near it lies, and what let it through or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_modules.records import Box

if TYPE_CHECKING:
    from rv_edit.codebook import Codebook, Entry, Retrieval


@dataclass(frozen=True)
class Neighbour:
    """One of the nearest keys, and what stands behind it.

    Attributes:
        distance: from the question's picture and words to the key.
        facts: the key's sentences in force.
        used: of these, the ones put before the question; none where retrieval was rejected.
        edits: ids of the edits that the sentences come from.
        patches: for each sentence, the part of its edit's picture that stood for it (``None``: the whole picture).
        images: for each sentence, the SHA-256 of that picture's file.
        kinds: for each sentence ``answer`` or ``reasoning``.
    """

    distance: float
    facts: tuple[str, ...]
    used: tuple[str, ...]
    edits: tuple[str, ...]
    patches: tuple[Box | None, ...]
    images: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """What decided about a question.

    Attributes:
        question: as asked.
        accepted: whether stored facts go before it.
        reason: why or why not, one sentence.
        threshold: the largest distance that is accepted; ``inf`` without a gate, 0 without edits.
        facts: what goes before the question, nearest first.
        neighbours: the nearest keys, nearest first, also where they were rejected.
    """

    question: str
    accepted: bool
    reason: str
    threshold: float
    facts: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]

    def __str__(self) -> str:
        """Several lines for people."""
        lines = [self.question, self.reason]
        for neighbour in self.neighbours:
            for fact, patch, edit in zip(neighbour.facts, neighbour.patches, neighbour.edits, strict=True):
                mark = "*" if fact in neighbour.used else " "
                where = "whole picture" if patch is None else "patch " + ",".join(f"{side:g}" for side in patch)
                lines.append(f"{mark} {neighbour.distance:.3f}  {fact}  [{where}, edit {edit}]")
        return "\n".join(lines)


def explain(book: Codebook, question: str, found: Retrieval) -> Explanation:
    """Put what was retrieved for ``question`` into words and records."""
    places = {key_id: place for place, key_id in enumerate(book.key_ids)}
    neighbours = []
    for place, (distance, key_id) in enumerate(zip(found.distances, found.key_ids, strict=True)):
        entries: dict[str, Entry] = {}
        for entry in book.ledger.live(book.ledger.groups[places[key_id]]):
            entries.setdefault(entry.normal, entry)  # one sentence may come from several edits: the first
        behind = list(entries.values())
        neighbours.append(
            Neighbour(
                distance,
                tuple(entry.text for entry in behind),
                tuple(fact for fact, at in zip(found.facts, found.fact_keys, strict=True) if at == place),
                tuple(entry.edit_id for entry in behind),
                tuple(_box(entry.provenance.get("box")) for entry in behind),
                tuple(str(entry.provenance.get("image", "")) for entry in behind),
                tuple(entry.kind for entry in behind),
            )
        )
    return Explanation(question, found.accepted, _reason(book, found), found.threshold, found.facts, tuple(neighbours))


def _reason(book: Codebook, found: Retrieval) -> str:
    """Why a question was accepted or rejected."""
    if not found.distances:
        return "Rejected: no edit is in force, so the model answers by itself."
    rules = book.retrieving
    if rules.gate == "none":
        return "Accepted: there is no gate; the nearest facts go before every question."
    if rules.gate == "calibrated":
        rule = f"the distance that {book.calibration_share:.1%} of unrelated questions pass"
    elif len(book.edit_ids) < rules.min_edits or len(book) < 2:
        rule = f"{rules.radius_factor:g} times the nearest key's radius, while there are under {rules.min_edits} edits"
    else:
        rule = f"percentile {rules.percentile:g} of all distances between keys"
    verdict, side = ("Accepted", "within") if found.accepted else ("Rejected", "beyond")
    return (
        f"{verdict}: the nearest key is at distance {found.distances[0]:.4g}, {side} the threshold "
        f"{found.threshold:.4g} ({rule})."
    )


def _box(stored: object) -> Box | None:
    if not isinstance(stored, list) or len(stored) != 4:
        return None
    left, top, right, bottom = stored
    return (left, top, right, bottom)
