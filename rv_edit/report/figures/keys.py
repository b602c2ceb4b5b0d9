"""Editing with the keys of the dual embedding, of the best vision and of the best language layer (paper Fig. 5a)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import Row, new_figure, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BARS = ("#d95f02", "#1b7837", "#2166ac", "#7570b3", "#878787", "#e6ab02")


def keys_figure(rows: Sequence[Row], title: str) -> Figure:
    """A group of bars a suite, a bar a kind of keys, with 95 % intervals.

    Args:
        rows: ``keys`` (what they are), ``suite``, ``mean``, ``low``, ``high``; suites and kinds in order.
        title: over all.
    """
    kinds = list(dict.fromkeys(str(row["keys"]) for row in rows))
    suites = list(dict.fromkeys(str(row["suite"]) for row in rows))
    figure, ((axes,),) = new_figure(1, 1, (max(8.0, 1.3 * len(suites) + 2), 4.2))
    width = 0.8 / len(kinds)
    for place, kind in enumerate(kinds):
        found = {str(row["suite"]): row for row in rows if row["keys"] == kind and number(row, "mean") is not None}
        at = [index for index, suite in enumerate(suites) if suite in found]
        means = [float(found[suites[index]]["mean"]) for index in at]
        ends = [(number(found[suites[index]], "low"), number(found[suites[index]], "high")) for index in at]
        bars = [
            [max(0.0, mean - (mean if low is None else low)) for mean, (low, _) in zip(means, ends, strict=True)],
            [max(0.0, (mean if high is None else high) - mean) for mean, (_, high) in zip(means, ends, strict=True)],
        ]
        left = [index + (place - (len(kinds) - 1) / 2) * width for index in at]
        axes.bar(left, means, 0.92 * width, yerr=bars, capsize=2, color=BARS[place % len(BARS)], label=kind)
    axes.set_xticks(range(len(suites)), suites)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("share answered right")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False)
    figure.suptitle(title)
    return figure
