"""How the number of pairs M in a network changes sample modularity and its variance (paper A.4, Fig. 13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import COLOURS, Row, new_figure, number
from rv_edit.report.figures.layers import MODULARITIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHADES = {"vision": "#1b7837", "merger": "#878787", "language": "#2166ac"}


def sizes_figure(rows: Sequence[Row], title: str, pooling: str = "mean") -> Figure:
    """Above, each layer's mean over networks against M; below, the variance over networks, and its mean over layers.

    Args:
        rows: of ``sizes.csv``: those of ``layers.csv`` with their ``pairs``.
        title: over all.
        pooling: of the layers that are drawn.
    """
    figure, grid = new_figure(2, 3, (11.5, 6.2), sharex=True)
    kept = [row for row in rows if row["pooling"] == pooling]
    sizes = sorted({int(row["pairs"]) for row in kept})
    layers = list(dict.fromkeys((str(row["block"]), int(row["index"])) for row in kept))
    at = {(int(row["pairs"]), str(row["block"]), int(row["index"])): row for row in kept}
    for column, (name, label) in enumerate(MODULARITIES.items()):
        above, below = grid[0][column], grid[1][column]
        variances: list[list[float]] = []
        for block, index in layers:
            cells = [at[size, block, index] for size in sizes]
            means = [float(cell[f"{name}_modularity_mean"]) for cell in cells]
            above.plot(sizes, means, "-o", color=SHADES[block], markersize=3, linewidth=1.2, alpha=0.7)
            variances.append([(number(cell, f"{name}_modularity_std") or 0.0) ** 2 for cell in cells])
            below.plot(sizes, variances[-1], "-", color=SHADES[block], linewidth=0.8, alpha=0.35)
        overall = [sum(column) / len(column) for column in zip(*variances, strict=True)]
        below.plot(sizes, overall, "-o", color=COLOURS["balance"], linewidth=2, markersize=4, label="mean over layers")
        above.set_title(label)
        below.set_xlabel("pairs a network, M")
        below.set_xticks(sizes)
        below.set_ylim(bottom=0)
    grid[0][0].set_ylabel("mean over networks")
    grid[1][0].set_ylabel("variance over networks")
    for block in dict.fromkeys(block for block, _ in layers):
        grid[0][2].plot([], [], "-o", color=SHADES[block], markersize=3, label=f"{block} layers")
    for line in grid:
        line[2].legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    figure.suptitle(title)
    return figure
