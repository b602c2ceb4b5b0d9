"""What all figures share: colours, a canvas that needs no display, and a file that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rv_edit.report.files import ReportError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
"""A row of a table: numbers, or their texts as a CSV has them; ``None`` or an empty text where there is nothing."""

COLOURS = {"vision": "#1b7837", "language": "#2166ac", "bimodal": "#d95f02", "balance": "#333333"}
"""As in the paper: green for vision, blue for language."""
DOTS_AN_INCH = 150


def new_figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a grid of axes, drawn by Agg: no display, and no state shared with any other figure.

    Args:
        rows: of axes.
        columns: of axes.
        size: inches.
        options: of ``Figure.subplots``.
    """
    # imported late: it takes a second, which help and configuration errors need not wait for
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    for axes in grid.flat:
        for side in {"top", "right"} & set(axes.spines):  # a circle has none
            axes.spines[side].set_visible(False)
    return figure, [list(line) for line in grid]


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a PNG under a temporary name, then rename it; the same figure gives the same bytes.

    Raises:
        ReportError: one line; what was there before is as it was.
    """
    target = Path(path)
    staged = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(staged, format="png", dpi=DOTS_AN_INCH, metadata={"Software": None})
        os.replace(staged, target)
    except OSError as error:
        raise ReportError(f"{target}: cannot be written ({error.strerror or error}); free some space") from error
    finally:
        staged.unlink(missing_ok=True)
    return target


def number(row: Row, name: str) -> float | None:
    """A cell as a number; ``None`` where it is empty."""
    value = row.get(name)
    return None if value is None or value == "" else float(value)


def band(
    axes: Axes, at: Sequence[float], rows: Sequence[Row], name: str, colour: str, label: str, style: str = "-"
) -> None:
    """A measure's mean as a line and one deviation to either side as a band; nothing where the measure is empty.

    Args:
        axes: to draw on.
        at: places of the rows on the x axis.
        rows: with ``<name>_mean`` and ``<name>_std``.
        name: of the measure.
        colour: of both.
        label: in the legend.
        style: of the line.
    """
    mean, spread = ([number(row, f"{name}_{part}") for row in rows] for part in ("mean", "std"))
    known = [(x, m, s or 0.0) for x, m, s in zip(at, mean, spread, strict=True) if m is not None]
    if not known:
        return
    xs, ms, ss = zip(*known, strict=True)
    axes.plot(xs, ms, style, color=colour, label=label, marker="o", markersize=3, linewidth=1.6)
    low, high = ([m + sign * s for m, s in zip(ms, ss, strict=True)] for sign in (-1, 1))
    axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
