"""Where a new edit goes among those made before: the split and expand rules of GRACE, and BalancEdit's.

Pure functions of distances and labels. What an entry's value is plays no part, so the whole stream of edits can be
placed anew, without one of them, before anything is trained again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

Subject = tuple[str, str]
"""A picture (content hash) and a question (normal form)."""


@dataclass(frozen=True)
class Fact:
    """What the rules know of one thing an edit states.

    Attributes:
        label: token ids of what is to be answered; labels are compared as sequences, never as a sum or a mean.
        subject: what is asked about; ``None`` where nothing is asked.
        radius: of an entry it founds.
    """

    label: tuple[int, ...]
    subject: Subject | None
    radius: float


@dataclass(frozen=True)
class Row:
    """One entry in force.

    Attributes:
        founder: position in the stream of the fact whose key it has.
        radius: questions at most so far from the key are in scope; rounded to fp32, in which it is stored.
        chain: positions of the facts that its value was trained on, in that order.
    """

    founder: int
    radius: float
    chain: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", struct.unpack("f", struct.pack("f", self.radius))[0])


@dataclass(frozen=True)
class Placed:
    """The entries after a fact was placed, whether it founded one, and the facts it put out of force (positions)."""

    rows: tuple[Row, ...]
    new: bool
    superseded: tuple[int, ...] = ()


Rule = Callable[[Sequence[Row], Sequence[Fact], Sequence[float]], Placed]
"""Entries in force, all facts up to the new one (last), its distances to the entries' keys -> what becomes of them."""


@dataclass(frozen=True)
class GraceRule:
    """GRACE's rules with the ``coverage`` policy, for the nearest key k at distance d.

    ``d > ε + ε_k``: a new entry of radius ε. Else, with another label, a new entry and a split: ``ε_k = d/2 − gap``,
    ``ε_new = d/2``. Else k takes the fact: its value is trained on, and ``ε_k = d`` where d is more.

    A split cannot tell apart what lies at one point: another label within ``same`` · ε of k puts k out of force
    instead, with all that it was trained on, and founds an entry no wider than k was, nor than ε.

    Attributes:
        gap: what a split leaves between the two radii.
        same: distance, in radii ε, within which two keys are one point.
    """

    gap: float = 1e-5
    same: float = 1e-3

    def __call__(self, rows: Sequence[Row], facts: Sequence[Fact], distances: Sequence[float]) -> Placed:
        """Place the last of ``facts``."""
        new, position = facts[-1], len(facts) - 1
        fresh = Row(position, new.radius, (position,))
        near = nearest_row(distances)
        if near is None or distances[near] > new.radius + rows[near].radius:
            return Placed((*rows, fresh), True)
        old, distance = rows[near], distances[near]
        if facts[old.founder].label == new.label:
            grown = replace(old, radius=max(old.radius, distance), chain=(*old.chain, position))
            return Placed(_with(rows, near, grown), False)
        if distance <= self.same * new.radius:
            kept = (*rows[:near], *rows[near + 1 :])
            return Placed((*kept, replace(fresh, radius=min(old.radius, new.radius))), True, old.chain)
        # Where d/2 is more than the old radius, the old one grows: GRACE sets it without looking.
        halved = replace(old, radius=max(distance / 2 - self.gap, 0.0))
        return Placed((*_with(rows, near, halved), replace(fresh, radius=distance / 2)), True)


class BalancEditRule:
    """BalancEdit's rules: every fact founds an entry with the radius that was measured for it.

    A fact within the nearest entry's radius goes on from that entry's update. A fact on the same picture and question
    as an earlier one takes its place, and goes on from its update where the answer is the same.
    """

    def __call__(self, rows: Sequence[Row], facts: Sequence[Fact], distances: Sequence[float]) -> Placed:
        """Place the last of ``facts``."""
        new, position = facts[-1], len(facts) - 1
        for index, row in enumerate(rows):
            old = facts[row.founder]
            if new.subject is not None and old.subject == new.subject:
                agrees = old.label == new.label
                kept = (*rows[:index], *rows[index + 1 :])
                chain = (*row.chain, position) if agrees else (position,)
                gone = () if agrees else (row.founder,)
                return Placed((*kept, Row(position, new.radius, chain)), True, gone)
        near = nearest_row(distances)
        overlaps = near is not None and distances[near] <= rows[near].radius
        chain = (*rows[near].chain, position) if near is not None and overlaps else (position,)
        return Placed((*rows, Row(position, new.radius, chain)), True)


def nearest_row(distances: Sequence[float]) -> int | None:
    """Index of the smallest distance, the lowest among equals; ``None`` for none.

    >>> nearest_row([2.0, 1.0, 1.0])
    1
    """
    return min(range(len(distances)), key=distances.__getitem__) if distances else None


def _with(rows: Sequence[Row], index: int, row: Row) -> tuple[Row, ...]:
    return (*rows[:index], row, *rows[index + 1 :])
