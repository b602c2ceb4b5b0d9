"""A table of editors for a terminal: a data set and a model at a time."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rv_edit.report.comparison.entry import Comparison, Entry
from rv_edit.report.comparison.figures import Figure
from rv_edit.report.comparison.markdown import COSTS, costs
from rv_edit.report.comparison.paper import SUITES
from rv_edit.report.table import metric_name

WIDTH = 180
"""Letters of a line where there is no terminal that has a width."""


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print figures with intervals, the paper's below them, costs, and the cells that failed, one line each."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    for dataset in comparison.datasets:
        for model in comparison.models:
            console.print(_table(comparison, model, dataset))
    for entry in comparison.failed:
        console.print(Text(f"failed: {entry.editor}, {entry.model}, {entry.dataset}: {entry.reason}"), soft_wrap=True)
    if comparison.missing:
        console.print(f"not run yet: {len(comparison.missing)} of {len(comparison.entries)} cells")


def _table(comparison: Comparison, model: str, dataset: str) -> Table:
    title = f"{dataset}, {model}"
    paper = comparison.paper(model, dataset)
    if paper:
        title += f" (italics: the paper's {comparison.paper_models[model]})"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title_justify="left", title=title)
    for head in ("editor", *map(metric_name, SUITES), "edits", "not made", *COSTS.values()):
        table.add_column(head, justify="left" if head == "editor" else "right")
    for editor in comparison.editors:
        entry = comparison.entry(editor, model, dataset)
        table.add_row(editor, *_figures(entry), *costs(entry))
        if editor in paper:
            table.add_row("  paper", *(f"{paper[editor][suite].mean:.2f}" for suite in SUITES), style="italic dim")
    return table


def _figures(entry: Entry | None) -> Sequence[str]:
    return [_mark(None if entry is None else entry.figure(suite)) for suite in SUITES]


def _mark(figure: Figure | None) -> str:
    return "-" if figure is None else f"{figure.mean:.2f} {figure.low:.2f}-{figure.high:.2f}"
