"""Metrics and time against the number of edits, a line a run (paper 4.4, Fig. 4), and time an edit (Fig. 12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.report.figures.canvas import Row, new_figure, number
from rv_edit.report.table import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHADES = ("#2166ac", "#d95f02", "#1b7837", "#7570b3", "#e7298a", "#666666", "#a6761d", "#66a61e")
DASHES = ("-", "--", ":", "-.")


def sequential_figure(rows: Sequence[Row], title: str) -> Figure:
    """A panel for each suite that was asked, one for the accept rate of Acc, one for the seconds an edit takes.

    Args:
        rows: of ``curves.csv``.
        title: over all.
    """
    runs = list(dict.fromkeys(str(row["run"]) for row in rows))
    suites = [suite for suite in NAMES if any(number(row, suite) is not None for row in rows)]
    panels = [*((suite, NAMES[suite]) for suite in suites), ("acc_accept", "accept rate (Acc)")]
    panels.append(("seconds_per_edit", "seconds an edit"))
    columns = 3
    lines = -(-len(panels) // columns)
    figure, grid = new_figure(lines, columns, (3.6 * columns, 2.6 * lines), sharex=True)
    cells = [axes for line in grid for axes in line]
    for axes, (name, label) in zip(cells, panels, strict=False):
        for place, run in enumerate(runs):
            _line(axes, [row for row in rows if row["run"] == run], name, run, place)
        axes.set_title(label)
        if name == "seconds_per_edit":
            _log(axes)
        else:
            axes.set_ylim(-0.03, 1.03)
    for axes in cells[len(panels) :]:
        axes.set_visible(False)
    for axes in cells[max(0, len(panels) - columns) : len(panels)]:
        axes.set_xlabel("edits")
        axes.tick_params(labelbottom=True)
    handles, labels = cells[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, max(1, len(labels))), frameon=False)
    figure.suptitle(title)
    return figure


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


def _line(axes: Axes, rows: Sequence[Row], name: str, run: str, place: int) -> None:
    """One run's line, with its interval as a band where it has one."""
    known = [(float(row["edits"]), value, row) for row in rows if (value := number(row, name)) is not None]
    colour, dash = SHADES[place % len(SHADES)], DASHES[place // len(SHADES) % len(DASHES)]
    axes.plot(
        [at for at, _, _ in known],
        [value for _, value, _ in known],
        dash,
        color=colour,
        label=run,
        marker="o",
        markersize=3,
        linewidth=1.5,
    )
    bounds = [(at, number(row, f"{name}_low"), number(row, f"{name}_high")) for at, _, row in known]
    spans = [(at, low, high) for at, low, high in bounds if low is not None and high is not None]
    if spans:
        ats, lows, highs = zip(*spans, strict=True)
        axes.fill_between(ats, lows, highs, color=colour, alpha=0.12, linewidth=0)


def _log(axes: Axes) -> None:
    """A logarithmic scale, where there is anything to scale."""
    if any(len(line.get_xdata()) for line in axes.get_lines()):  # type: ignore[arg-type]
        axes.set_yscale("log")
