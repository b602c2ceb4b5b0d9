"""Rounds of questions between edits, as in sequential editing (paper 4.4): when one is due, and about which edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_modules.records import Edit
from data_modules.samplers import draw_probe


@dataclass(frozen=True)
class Probing:
    """Every ``every`` edits, and after the last, some of the edits made so far are asked about.

    What is drawn depends on the seed and on the number of edits alone, so it is known before the first edit is made,
    and it is the same on every rank and after an interruption.

    Attributes:
        every: edits between two rounds.
        edits: how many of the edits made so far a round asks about, all where there are fewer.
        seed: of the draws.
    """

    every: int
    edits: int
    seed: int

    def is_due(self, made: int, total: int) -> bool:
        """Whether a round follows the edit number ``made`` of a stream of ``total``.

        >>> [made for made in range(1, 6) if Probing(2, 50, 0).is_due(made, 5)]
        [2, 4, 5]
        """
        return made % self.every == 0 or made == total

    def drawn(self, edits: Sequence[Edit], done: int) -> frozenset[str]:
        """Ids of the edits that the round after ``done`` edits asks about."""
        return frozenset(draw_probe(edits, done, self.edits, self.seed))

    def ever_drawn(self, edits: Sequence[Edit], previous: int = 0) -> list[Edit]:
        """The edits that any round asks about, in the order of the stream.

        Args:
            edits: all edits, those in force before the stream first.
            previous: how many of them those are.
        """
        total = len(edits) - previous
        rounds = [made for made in range(1, total + 1) if self.is_due(made, total)]
        names = {name for made in rounds for name in self.drawn(edits, previous + made)}
        return [edit for edit in edits if edit.id in names]
