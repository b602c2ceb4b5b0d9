"""The six metrics of an editor as a polygon, one small figure an editor (the shape of an editor at a glance)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import Row, new_figure, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = ("#1b7837", "#2166ac", "#d95f02", "#7570b3", "#b2182b", "#666666", "#a6761d", "#17becf")
ACROSS = 5


def radar_figure(rows: Sequence[Row], suites: Sequence[tuple[str, str]], title: str) -> Figure:
    """A polar figure an editor, a closed line a model and data set, the paper's as dashes of the same colour.

    Args:
        rows: ``editor``, ``model``, ``dataset``, ``suite``, ``mean``, ``paper``; a suite that was not asked is left out
            of a line, which needs three.
        suites: name and what it is called, in order around the circle.
        title: over all.
    """
    editors = list(dict.fromkeys(str(row["editor"]) for row in rows))
    places = list(dict.fromkeys((str(row["model"]), str(row["dataset"])) for row in rows))
    across = min(ACROSS, len(editors))
    down = -(-len(editors) // across)
    figure, grid = new_figure(
        down, across, (max(6.0, 2.9 * across), 3.1 * down + 0.8), subplot_kw={"projection": "polar"}
    )
    angles = [2 * math.pi * at / len(suites) for at in range(len(suites))]
    found = {(row["editor"], row["model"], row["dataset"], row["suite"]): row for row in rows}
    for at in range(down * across):
        axes = grid[at // across][at % across]
        if at >= len(editors):
            axes.set_axis_off()
            continue
        axes.set_title(editors[at], fontsize=10)
        axes.set_ylim(0, 1)
        axes.set_yticks([0.25, 0.5, 0.75, 1.0], [""] * 4)
        axes.set_xticks(angles, [called for _, called in suites], fontsize=7)
        axes.spines["polar"].set_visible(False)
        for index, (model, dataset) in enumerate(places):
            cells = [found.get((editors[at], model, dataset, suite)) for suite, _ in suites]
            colour = LINES[index % len(LINES)]
            _line(axes, angles, cells, "mean", colour, "-")
            _line(axes, angles, cells, "paper", colour, ":")
    for index, (model, dataset) in enumerate(places):
        grid[0][0].plot([], [], "-", color=LINES[index % len(LINES)], label=f"{model}, {dataset}")
    if any(number(row, "paper") is not None for row in rows):
        grid[0][0].plot([], [], ":", color="black", label="the paper's")
    figure.legend(loc="outside lower center", ncols=1 if across < 3 else 2, frameon=False, fontsize=8)
    figure.suptitle(title)
    return figure


def _line(axes: Axes, angles: Sequence[float], cells: Sequence[Row | None], name: str, colour: str, style: str) -> None:
    values = [None if cell is None else number(cell, name) for cell in cells]
    known = [(angle, value) for angle, value in zip(angles, values, strict=True) if value is not None]
    if len(known) < 3:
        return
    around, out = zip(*known, strict=True)
    around, out = (*around, around[0]), (*out, out[0])
    axes.plot(around, out, style, color=colour, linewidth=1.4)
    if style == "-":
        axes.fill(around, out, color=colour, alpha=0.08)
