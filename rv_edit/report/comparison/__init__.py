"""Editors side by side on models and data sets: the paper's Table 1 of our cells, its claims, and two figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rv_edit.report.comparison.claims import CLAIMS, Claim, Words
from rv_edit.report.comparison.entry import Comparison, Entry
from rv_edit.report.comparison.latex import latex
from rv_edit.report.comparison.markdown import page
from rv_edit.report.comparison.paper import SUITES, paper_column, paper_table
from rv_edit.report.comparison.rows import table_rows
from rv_edit.report.comparison.terminal import print_comparison
from rv_edit.report.figures import cost_figure, radar_figure, save_figure
from rv_edit.report.files import write_together
from rv_edit.report.table import metric_name
from rv_edit.report.tables import write_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_comparison(
    comparison: Comparison, folder: Path, command: str | None = None, about: Sequence[str] = ()
) -> list[Path]:
    """Write ``table1.md``, ``.csv`` and ``.tex``, and ``radar`` and ``cost`` as PNG with their rows as CSV.

    Args:
        comparison: the cells, as far as there are any.
        folder: it is created.
        command: that made them, for the page.
        about: further lines of the page.

    Returns:
        The places; without a finished cell there is nothing to draw, and none of figures.

    Raises:
        ReportError: one line; the tables are replaced together or not at all.
    """
    rows = table_rows(comparison)
    there = {(entry.editor, entry.model, entry.dataset) for entry in comparison.finished}
    shapes = [row for row in rows if row["suite"] in SUITES and (row["editor"], row["model"], row["dataset"]) in there]
    costs = [row for row in shapes if row["suite"] == "acc" and row["mean"] is not None and row["seconds_per_edit"]]
    written = write_together(
        {
            folder / "table1.md": _text(page(comparison, command, about)),
            folder / "table1.csv": partial(write_csv, rows),
            folder / "table1.tex": _text(latex(comparison)),
            **({folder / "radar.csv": partial(write_csv, shapes)} if shapes else {}),
            **({folder / "cost.csv": partial(write_csv, costs)} if costs else {}),
        }
    )
    drawn: dict[str, Figure] = {}
    if shapes:
        suites = [(suite, metric_name(suite)) for suite in SUITES]
        drawn["radar"] = radar_figure(shapes, suites, "Each editor's six metrics")
    if costs:
        drawn["cost"] = cost_figure(costs, "Accuracy against the time an edit takes")
    return [*written, *(save_figure(figure, folder / f"{name}.png") for name, figure in drawn.items())]


def _text(text: str) -> Callable[[TextIO], Any]:
    return lambda stream: stream.write(text)


__all__ = [
    "CLAIMS",
    "SUITES",
    "Claim",
    "Comparison",
    "Entry",
    "Words",
    "latex",
    "page",
    "paper_column",
    "paper_table",
    "print_comparison",
    "table_rows",
    "write_comparison",
]
