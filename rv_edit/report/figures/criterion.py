"""Whether a criterion of key spaces predicts editing: each point a key space, by its criterion and by its suites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import Row, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CRITERIA = {"harmonic_mean": "harmonic mean of $Q_V$ and $Q_L$ (the paper's, for λ)", "bimodal_modularity": "$Q_B$"}
SHADES = ("#2166ac", "#1b7837", "#d95f02", "#7b3294", "#b2182b", "#878787")


def criterion_figure(rows: Sequence[Row], title: str) -> Figure:
    """The mean of the suites against each criterion; points of one vision layer are joined in the order of λ.

    Args:
        rows: one a key space: ``layer``, ``lam``, the criteria and ``mean_of_suites``.
        title: over all.
    """
    figure, grid = new_figure(1, len(CRITERIA), (9.5, 3.8), sharey=True)
    for axes, (name, label) in zip(grid[0], CRITERIA.items(), strict=True):
        for place, layer in enumerate(sorted({int(row["layer"]) for row in rows})):
            own = sorted((row for row in rows if int(row["layer"]) == layer), key=lambda row: float(row["lam"]))
            xs, ys = ([float(row[column]) for row in own] for column in (name, "mean_of_suites"))
            sizes = [18.0 + 14.0 * step for step in range(len(own))]
            colour = SHADES[place % len(SHADES)]
            axes.plot(xs, ys, "-", color=colour, linewidth=1, alpha=0.5)
            axes.scatter(xs, ys, s=sizes, color=colour, label=f"vision layer {layer}", zorder=3)
        axes.set_xlabel(label)
    grid[0][0].set_ylabel("mean of the paper's six suites")
    grid[0][-1].legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, title="larger dots: larger λ")
    figure.suptitle(title)
    return figure
