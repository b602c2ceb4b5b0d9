"""The trade-off of vision and language modularity over λ (paper Fig. 6c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import COLOURS, Row, band, new_figure
from rv_edit.report.figures.layers import MODULARITIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def balance_figure(rows: Sequence[Row], title: str, chosen: float | None = None) -> Figure:
    """Modularities and their harmonic mean on the left, biases on the right, over λ.

    Args:
        rows: of ``balance.csv``: ``lam``, ``harmonic_mean`` and each measure's mean and deviation.
        title: over both.
        chosen: λ*, marked; ``None`` where there is no choice.
    """
    figure, ((left, right),) = new_figure(1, 2, (10.5, 4.0))
    lams = [float(row["lam"]) for row in rows]
    for name, label in MODULARITIES.items():
        band(left, lams, rows, f"{name}_modularity", COLOURS[name], label)
    scores = [float(row["harmonic_mean"]) for row in rows]
    left.plot(lams, scores, "--", color=COLOURS["balance"], label="harmonic mean of $Q_V$ and $Q_L$", linewidth=1.6)
    left.set_ylabel("sample modularity")
    right.axhline(0, color="black", linewidth=0.8)
    for name in ("vision", "language"):
        band(right, lams, rows, f"{name}_bias", COLOURS[name], f"{name} bias")
    right.set_ylabel("bias (share of the mean distance)")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlabel("λ")
        if chosen is not None:
            axes.axvline(chosen, color="black", linestyle=":", linewidth=1, label=f"λ* = {chosen:.3g}")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False, fontsize=9)
    figure.suptitle(title)
    return figure
