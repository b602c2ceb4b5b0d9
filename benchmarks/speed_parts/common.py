"""How every part measures: two ways in turn, one clock, and a row that says what came out."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import torch

from data_modules.records import ImageRef, Question
from rv_edit.report.provenance import git_hash, versions

WEIGHTS = "package://rv_edit.pocket/weights"
FAMILIES = ("llava", "instructblip", "qwen3vl")
T = TypeVar("T")
MS = 1e-3
"""Seconds in a millisecond."""


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        what: what is measured, with its size.
        ours: what ours takes, and ``other`` what the alternative takes, in ``unit``.
        alternative: what it is compared with.
        ratio: the median over the rounds: how many times as fast as the alternative, or what share of it.
        target: the ratio asked for; ``None``: none is.
        at_least: whether the ratio has to be at least the target, or at most.
        agrees: how the two results were compared; it was asserted.
    """

    what: str
    ours: float
    other: float
    alternative: str
    ratio: float
    target: float | None = None
    at_least: bool = True
    agrees: str = ""
    unit: str = "ms"

    @classmethod
    def timed(
        cls,
        what: str,
        ours: Sequence[float],
        other: Sequence[float],
        alternative: str,
        target: float | None,
        *,
        per: float = MS,
        at_least: bool = True,
        agrees: str = "",
        unit: str = "ms",
    ) -> Row:
        """A row of the seconds of the rounds: their medians, each divided by ``per``, and the median of their ratios.

        With ``at_least`` the ratio says how many times as fast ours is, else what share of the other's time it takes.
        """
        found = ratio(other, ours) if at_least else ratio(ours, other)
        medians = statistics.median(ours) / per, statistics.median(other) / per
        return cls(what, *medians, alternative, found, target, at_least, agrees, unit)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; ``None`` where there is none."""
        if self.target is None:
            return None
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


@dataclass(frozen=True)
class Part:
    """What a part found: rows, notes (a line each), and on what."""

    rows: Sequence[Row]
    notes: Sequence[str] = ()
    machine: dict[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Part:
        """From :meth:`plain`."""
        return cls([Row(**row) for row in stored["rows"]], stored["notes"], stored["machine"])


@dataclass(frozen=True)
class Options:
    """Of the command."""

    threads: int = 1
    rounds: int = 5
    scale: float = 1.0
    models: tuple[str, ...] = ("llava",)

    def of(self, number: int, least: int = 1) -> int:
        """A number of items, smaller where a trial is wanted."""
        return max(least, round(number * self.scale))

    @property
    def clock(self) -> Callable[[], float]:
        """Processor time where one thread does all the work: other programs then hardly count. Else the clock's."""
        return time.process_time if self.threads == 1 else time.perf_counter


def alternately(
    ours: Callable[[int], T], other: Callable[[int], T], rounds: int, clock: Callable[[], float], warm_up: int = 1
) -> tuple[list[float], list[float], list[tuple[T, T]]]:
    """Run both in turn, A B A B; each is given the number of the round. Seconds of each, and what they returned.

    Rounds of the warm-up are numbered from -1 downwards, so that what a round draws is new in every round.
    """
    times: tuple[list[float], list[float]] = ([], [])
    results: list[tuple[T, T]] = []
    for turn in (*range(-warm_up, 0), *range(rounds)):
        found = []
        for place, call in enumerate((ours, other)):
            started = clock()
            found.append(call(turn))
            if turn >= 0:
                times[place].append(clock() - started)
        if turn >= 0:
            results.append((found[0], found[1]))
    return times[0], times[1], results


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """Median of the ratios round by round: what slows both down in a round leaves it alone."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def machine(options: Options) -> dict[str, Any]:
    """What the figures depend on; ``load``: programs waiting for a core when it was measured."""
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "clock": options.clock.__name__,
        "load": round(os.getloadavg()[0], 1),
        "rounds": options.rounds,
        "scale": options.scale,
        "models": list(options.models),
        "commit": git_hash(),
        "torch": torch.__version__,
        "transformers": versions().get("transformers"),
    }


def questions_of(count: int, skip: int = 0, name: str = "aokvqa") -> list[Question]:
    """Questions of the embedded data set, each on a picture of its own."""
    from rv_edit.pocket.dataset import load

    found: dict[str, Question] = {}
    for record in load(name).records:
        found.setdefault(record.image.sha, record.as_question())
    chosen = list(found.values())[skip : skip + count]
    assert len(chosen) == count, f"the data set has {len(found)} pictures, {skip + count} are wanted"
    return chosen


def opened(questions: Sequence[Question]) -> dict[str, Any]:
    """Decoded pictures by hash, so that decoding counts on neither side."""
    pictures: dict[str, ImageRef] = {question.image.sha: question.image for question in questions}
    return {sha: picture.open() for sha, picture in pictures.items()}
