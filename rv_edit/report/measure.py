"""The figures of a report: the torchmetric of a run, filled from its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, cast

from rv_edit.metrics import EditMetrics, accept_rates, summary


class Measured(TypedDict):
    """A suite's mean over questions, its 95 % interval and the number of questions; ``None`` where none was asked."""

    mean: float | None
    ci95: list[float | None]
    n: int


class Mark(TypedDict):
    """An answered question as metrics see it."""

    suite: str
    edit_id: str | None
    right: bool
    accepted: bool | None


def measure(
    marks: Sequence[Mark], suites: Sequence[str], seed: int
) -> tuple[dict[str, Measured], dict[str, float | None]]:
    """Figures and accept rates of all ``suites`` (paper 4.1).

    Args:
        marks: the answered questions, in any order.
        suites: names, in the order of reports; a suite without a question is reported as missing.
        seed: of the bootstrap over edits.
    """
    # The answers of all ranks are here already, and the other ranks are not asked: nothing to exchange.
    metric = EditMetrics(names=suites, seed=seed, sync_on_compute=False)
    metric.update(
        [mark["suite"] for mark in marks],
        [mark["edit_id"] for mark in marks],
        [mark["right"] for mark in marks],
        [mark["accepted"] for mark in marks],
    )
    computed = metric.compute()
    return cast("dict[str, Measured]", summary(computed)), accept_rates(computed)
