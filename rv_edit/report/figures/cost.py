"""What an edit costs against what it brings: accuracy over seconds per edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import Row, new_figure, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
PALETTE = ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d")


def cost_figure(rows: Sequence[Row], title: str) -> Figure:
    """A colour an editor (hollow: its -COT form), a mark a model and data set, with 95 % intervals.

    Args:
        rows: ``editor``, ``model``, ``dataset``, ``mean``, ``low``, ``high`` of one suite, ``seconds_per_edit``; rows
            without seconds or mean are left out (the unedited model makes no edits).
        title: over all.
    """
    kept = [row for row in rows if number(row, "seconds_per_edit") and number(row, "mean") is not None]
    families = list(dict.fromkeys(str(row["editor"]).removesuffix("-COT") for row in kept))
    places = list(dict.fromkeys((str(row["model"]), str(row["dataset"])) for row in kept))
    figure, ((axes,),) = new_figure(1, 1, (8.5, 4.8))
    for row in kept:
        family = str(row["editor"]).removesuffix("-COT")
        colour = PALETTE[families.index(family) % len(PALETTE)]
        x, y = float(row["seconds_per_edit"]), float(row["mean"])
        low, high = (number(row, name) for name in ("low", "high"))
        bars = [[max(0.0, y - (y if low is None else low))], [max(0.0, (y if high is None else high) - y)]]
        mark = MARKS[places.index((str(row["model"]), str(row["dataset"]))) % len(MARKS)]
        axes.errorbar(
            [x], [y], yerr=bars, fmt=mark, color=colour, markersize=6, elinewidth=0.8, capsize=2,
            markerfacecolor="white" if row["editor"] != family else colour,
        )  # fmt: skip
    for index, family in enumerate(families):
        axes.plot([], [], "o", color=PALETTE[index % len(PALETTE)], label=family)
    if any(str(row["editor"]).endswith("-COT") for row in kept):
        axes.plot([], [], "o", color="black", markerfacecolor="white", label="-COT")
    for index, (model, dataset) in enumerate(places):
        axes.plot([], [], MARKS[index % len(MARKS)], color="#555555", label=f"{model}, {dataset}")
    if kept:
        axes.set_xscale("log")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("seconds per edit")
    axes.set_ylabel("Acc")
    figure.suptitle(title)
    return figure
