"""A figure with its interval, and whether one is greater than another, from their intervals alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

AGREES, DIFFERS, CANNOT_TELL = "agrees", "differs", "cannot tell"


@dataclass(frozen=True)
class Figure:
    """A mean with the ends of its 95 % interval; a figure of a paper that gives none has both at the mean."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = "" if self.low == self.high == self.mean else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.mean:.2f}{interval}"


def exactly(mean: float) -> Figure:
    """A figure without an interval."""
    return Figure(mean, mean, mean)


def difference(one: Figure, other: Figure) -> Figure:
    """``one − other`` with its interval, made of theirs (Zou and Donner's MOVER): no symmetry is assumed.

    The two are taken as independent. Where they come from the same questions, as in a table, the interval is wider than
    it need be, so that a verdict errs towards "cannot tell".

    >>> print(difference(Figure(0.8, 0.7, 0.9), Figure(0.5, 0.4, 0.6)))
    0.30 [0.16, 0.44]
    """
    apart = one.mean - other.mean
    low = apart - math.hypot(one.mean - one.low, other.high - other.mean)
    high = apart + math.hypot(one.high - one.mean, other.mean - other.low)
    return Figure(apart, low, high)


def mean_of(figures: Sequence[Figure]) -> Figure:
    """The mean of independent figures."""
    count = len(figures)
    mean = sum(figure.mean for figure in figures) / count
    low = mean - math.hypot(*(figure.mean - figure.low for figure in figures)) / count
    high = mean + math.hypot(*(figure.high - figure.mean for figure in figures)) / count
    return Figure(mean, low, high)


def above(figure: Figure, bound: float = 0.0) -> str:
    """Whether a figure is above a bound: the whole interval lies on one side of it, or we cannot tell."""
    if figure.low > bound:
        return AGREES
    return DIFFERS if figure.high < bound else CANNOT_TELL


def within(figure: Figure, bound: float) -> str:
    """Whether a figure is at most a bound."""
    if figure.high <= bound:
        return AGREES
    return DIFFERS if figure.low > bound else CANNOT_TELL


def together(verdicts: Sequence[str]) -> str:
    """Of several parts of one claim: all agree, or one differs, or neither."""
    if DIFFERS in verdicts:
        return DIFFERS
    return AGREES if verdicts and all(verdict == AGREES for verdict in verdicts) else CANNOT_TELL
