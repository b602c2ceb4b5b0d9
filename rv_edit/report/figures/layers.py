"""The five measures in every layer, for mean and last-token pooling (paper Fig. 6a, 6b and 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import COLOURS, Row, band, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTERS = {"vision": "V", "merger": "M", "language": "L"}
SHADES = {"vision": "#e5f5e0", "merger": "#f0f0f0", "language": "#deebf7"}
MODULARITIES = {"vision": "vision $Q_V$", "language": "language $Q_L$", "bimodal": "bimodal $Q_B$"}


def layers_figure(rows: Sequence[Row], title: str, chosen: int | None = None) -> Figure:
    """Biases above, modularities below; last token on the left, mean over tokens on the right.

    Args:
        rows: of ``layers.csv``: ``block``, ``index``, ``pooling`` and each measure's mean and deviation.
        title: over all.
        chosen: the vision block that was chosen, marked.
    """
    names = list(dict.fromkeys((str(row["block"]), int(row["index"])) for row in rows))
    figure, grid = new_figure(2, 2, (max(9.0, 0.34 * len(names) + 4), 6.4), sharex=True, sharey="row")
    for column, (pooling, head) in enumerate((("last", "last token"), ("mean", "mean over tokens"))):
        found = {(str(row["block"]), int(row["index"])): row for row in rows if row["pooling"] == pooling}
        places = [place for place, name in enumerate(names) if name in found]
        kept = [found[names[place]] for place in places]
        above, below = grid[0][column], grid[1][column]
        above.axhline(0, color="black", linewidth=0.8)
        for name in ("vision", "language"):
            band(above, places, kept, f"{name}_bias", COLOURS[name], f"{name} bias")
        for name, label in MODULARITIES.items():
            band(below, places, kept, f"{name}_modularity", COLOURS[name], label)
        for axes in (above, below):
            _blocks(axes, names, chosen)
        above.set_title(head)
        below.set_xlabel("layer")
    _name_blocks(grid[0][0], names)
    grid[0][0].set_ylabel("bias\n(share of the mean distance)")
    grid[1][0].set_ylabel("sample modularity")
    for line in grid:
        line[-1].legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    figure.suptitle(title)
    return figure


def _blocks(axes: Axes, names: Sequence[tuple[str, int]], chosen: int | None) -> None:
    """Shade the parts of the model, and mark the chosen layer."""
    for block, shade in SHADES.items():
        inside = [place for place, (part, _) in enumerate(names) if part == block]
        if inside:
            axes.axvspan(inside[0] - 0.5, inside[-1] + 0.5, color=shade, alpha=0.6, linewidth=0, zorder=0)
    if ("vision", chosen) in names:
        axes.axvline(names.index(("vision", int(chosen or 0))), color="black", linestyle=":", linewidth=1)
    axes.set_xlim(-0.5, len(names) - 0.5)
    step = max(1, len(names) // 24)
    shown = range(0, len(names), step)
    axes.set_xticks(list(shown), [f"{LETTERS.get(names[at][0], '')}{names[at][1]}" for at in shown], fontsize=8)


def _name_blocks(axes: Axes, names: Sequence[tuple[str, int]]) -> None:
    """Write the name of each part over its shade."""
    for block in SHADES:
        inside = [place for place, (part, _) in enumerate(names) if part == block]
        if inside:
            middle = (inside[0] + inside[-1]) / 2
            axes.text(middle, 0.99, block, transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=8)
