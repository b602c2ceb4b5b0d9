"""Which sentences of the nearest keys go before a question: each once, and never two answers to one question."""

from __future__ import annotations

from collections.abc import Sequence

from rv_edit.codebook.ledger import Ledger


def choose_facts(ledger: Ledger, keys: Sequence[int]) -> list[tuple[str, int]]:
    """Sentences in force of ``keys`` (nearest first), each with the place of its key among them.

    Equal sentences count once, where they come first. Answers to the same question, on whichever pictures they
    were given, would contradict each other before a reader who is told of "the image": the nearest key's holds,
    and within one key the latest.
    """
    chosen: list[tuple[str, int]] = []
    said: set[str] = set()
    answered: set[str] = set()
    for place, key in enumerate(keys):
        entries = ledger.live(ledger.groups[key])
        latest = {entry.question: entry for entry in entries if entry.question is not None}
        for entry in entries:
            if entry.question is not None and (entry.question in answered or latest[entry.question] is not entry):
                continue
            if entry.normal not in said:
                said.add(entry.normal)
                chosen.append((entry.text, place))
        answered.update(latest)
    return chosen
