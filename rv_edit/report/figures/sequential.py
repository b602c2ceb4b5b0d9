"""Metrics against the number of edits (paper 4.4, Fig. 4), time an edit (Fig. 12), and ablations (Fig. 5, 11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import Row, new_figure, number
from rv_edit.report.figures.panels import SHADES, Panel, panels_figure
from rv_edit.report.table import NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sequential_figure(rows: Sequence[Row], title: str) -> Figure:
    """A panel for each suite that was asked, one for the accept rate of Acc, one for the seconds an edit takes.

    Args:
        rows: of ``curves.csv``.
        title: over all.
    """
    cost = [Panel("acc_accept", "accept rate, Acc"), Panel("seconds_per_edit", "seconds an edit", "log")]
    return panels_figure(rows, [*_suites(rows), *cost], "edits", "edits", title)


def ablation_figure(rows: Sequence[Row], option: str, title: str) -> Figure:
    """A panel for each suite that was asked, one for the share of questions accepted, two for what an edit takes up.

    Args:
        rows: of ``ablation.csv``, by ``value`` of the option.
        option: its name, under the axes.
        title: over all.
    """
    cost = [
        Panel("acc_accept", "accept rate, Acc"),
        Panel("kb_per_edit", "KB an edit", "plain"),
        Panel("keys_per_edit", "keys an edit", "plain"),
    ]
    return panels_figure(rows, [*_suites(rows), *cost], "value", option, title)


def times_figure(rows: Sequence[Row], title: str) -> Figure:
    """A bar a run: mean seconds an edit takes, by itself, on a logarithmic scale.

    Args:
        rows: of ``times.csv``.
        title: over all.
    """
    known = [(str(row["run"]), seconds) for row in rows if (seconds := number(row, "seconds_per_edit")) is not None]
    figure, ((axes,),) = new_figure(1, 1, (6.0, 1.0 + 0.35 * max(1, len(known))))
    for place, (_, seconds) in enumerate(known):
        axes.barh(place, seconds, color=SHADES[place % len(SHADES)])
        axes.annotate(f" {seconds:.3g} s", (seconds, place), va="center", fontsize=8)
    axes.set_yticks(range(len(known)), [run for run, _ in known])
    axes.invert_yaxis()
    if known:
        axes.set_xscale("log")
        axes.set_xlim(right=3 * max(seconds for _, seconds in known))
    axes.set_xlabel("seconds an edit")
    axes.set_title(title)
    return figure


def _suites(rows: Sequence[Row]) -> list[Panel]:
    return [Panel(suite, name) for suite, name in NAMES.items() if any(number(row, suite) is not None for row in rows)]
