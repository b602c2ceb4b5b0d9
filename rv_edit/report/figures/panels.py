"""Panels of lines: one panel a measure, one line a run or group of runs, over edits or over the values of an option."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import Row, new_figure, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHADES = ("#2166ac", "#d95f02", "#1b7837", "#7570b3", "#e7298a", "#666666", "#a6761d", "#66a61e")
DASHES = ("-", "--", ":", "-.")
COLUMNS = 3


@dataclass(frozen=True)
class Panel:
    """A measure: its column, its title, and how its axis goes: ``share`` from 0 to 1, ``log``, or ``plain``."""

    name: str
    title: str
    axis: str = "share"


def panels_figure(rows: Sequence[Row], panels: Sequence[Panel], x: str, xlabel: str, title: str) -> Figure:
    """Draw each panel's column against ``x``, a line for each value of ``run``, with bands where there are bounds.

    Args:
        rows: of a table; bounds of a measure stand in ``<name>_low`` and ``<name>_high``.
        panels: in order, three a row.
        x: column of the x axis; where it holds anything but numbers, its values stand side by side in their order.
        xlabel: under it.
        title: over all.
    """
    runs = list(dict.fromkeys(str(row["run"]) for row in rows))
    named = list(dict.fromkeys(str(row[x]) for row in rows))
    numeric = all(_is_number(value) for value in named)
    lines = -(-len(panels) // COLUMNS)
    figure, grid = new_figure(lines, COLUMNS, (3.6 * COLUMNS, 2.6 * lines + 0.6), sharex=True)
    cells = [axes for line in grid for axes in line]
    for axes, panel in zip(cells, panels, strict=False):
        for place, run in enumerate(runs):
            own = [row for row in rows if str(row["run"]) == run and number(row, panel.name) is not None]
            at = [float(row[x]) if numeric else float(named.index(str(row[x]))) for row in own]
            _line(axes, at, own, panel.name, run, place)
        _scale(axes, panel)
        if not numeric:
            axes.set_xticks(range(len(named)), named)
    for axes in cells[len(panels) :]:
        axes.set_visible(False)
    for axes in cells[max(0, len(panels) - COLUMNS) : len(panels)]:
        axes.set_xlabel(xlabel)
        axes.tick_params(labelbottom=True)
    handles, labels = cells[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, max(1, len(labels))), frameon=False)
    figure.suptitle(title)
    return figure


def _line(axes: Axes, at: Sequence[float], rows: Sequence[Row], name: str, run: str, place: int) -> None:
    """One run's line, with its interval as a band where it has one."""
    colour, dash = SHADES[place % len(SHADES)], DASHES[place // len(SHADES) % len(DASHES)]
    values = [number(row, name) or 0.0 for row in rows]
    axes.plot(at, values, dash, color=colour, label=run, marker="o", markersize=3, linewidth=1.5)
    bounds = [(x, number(row, f"{name}_low"), number(row, f"{name}_high")) for x, row in zip(at, rows, strict=True)]
    spans = [(x, low, high) for x, low, high in bounds if low is not None and high is not None]
    if spans:
        xs, lows, highs = zip(*spans, strict=True)
        axes.fill_between(xs, lows, highs, color=colour, alpha=0.12, linewidth=0)


def _scale(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title)
    drawn = any(len(line.get_ydata()) for line in axes.get_lines())  # type: ignore[arg-type]
    if panel.axis == "share":
        axes.set_ylim(-0.03, 1.03)
    elif panel.axis == "log" and drawn:
        axes.set_yscale("log")
    elif drawn:
        axes.set_ylim(bottom=0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
