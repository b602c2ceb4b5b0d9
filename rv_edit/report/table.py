"""The table at the end of a run: what the edits changed, with intervals, in 80 columns."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_modules.text import counted
from rv_edit.report.measure import Measured
from rv_edit.report.result import RunResult

NAMES = {
    "acc": "Acc",
    "loc": "Loc",
    "t_gen": "T-Gen",
    "i_gen": "I-Gen",
    "r_gen": "R-Gen",
    "coe_gen": "CoE-Gen",
    "contrast": "contrast",
}
"""How the paper writes its metrics (4.1)."""


def metric_name(suite: str) -> str:
    """A suite's name for people: that of the paper where it has one."""
    return NAMES.get(suite, suite)


def figure(measured: Measured) -> str:
    """Mean and 95 % interval, e.g. ``0.985 [0.957, 0.995]``; ``not asked`` where there was no question.

    >>> figure({"mean": 0.5, "ci95": [0.25, 0.75], "n": 12})
    '0.500 [0.250, 0.750]'
    """
    low, high = measured["ci95"]
    if measured["mean"] is None or low is None or high is None:
        return "not asked"
    return f"{measured['mean']:.3f} [{low:.3f}, {high:.3f}]"


def percent(share: float | None) -> str:
    """A share as a percentage, rounded but never to 0 or 100 what is not: ``99.7 %``, ``-`` for ``None``.

    >>> percent(0.9996), percent(1.0), percent(0.42), percent(None)
    ('>99.9 %', '100 %', '42.0 %', '-')
    """
    if share is None:
        return "-"
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    if share < 0.001:
        return "<0.1 %"
    return ">99.9 %" if share > 0.999 else f"{share * 100:.1f} %"


def render(result: RunResult, encoding: str = "utf-8") -> RenderableType:
    """The table and the lines under it, for a terminal of ``encoding``."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title_justify="left", title=_title(result))
    table.add_column("metric", no_wrap=True)
    table.add_column("before [95 %]", no_wrap=True, justify="right")
    table.add_column("after [95 %]", no_wrap=True, justify="right", style="bold")
    table.add_column("accepted", no_wrap=True, justify="right")
    table.add_column("questions", no_wrap=True, justify="right")
    for suite, after in result.metrics["after"].items():
        before = result.metrics["before"][suite]
        asked = after["n"] > 0
        table.add_row(
            metric_name(suite),
            figure(before) if asked else "",
            figure(after),
            percent(result.accept_rate[suite]),
            str(after["n"]),
            style=None if asked else "dim",
        )
    return Group(table, *(Text(_in(encoding, line)) for line in summary_lines(result)))


def summary_lines(result: RunResult) -> list[str]:
    """Cost of an edit, and what was left out, one line each."""
    cost = []
    if result.keys_per_edit:  # editors of weights have none
        cost.append(f"{result.keys_per_edit:.2f} keys")
    if result.kb_per_edit is not None:
        cost.append(f"{result.kb_per_edit:.1f} KB")
    if result.seconds_per_edit is not None:
        cost.append(f"{result.seconds_per_edit:.3f} s")
    lines = [f"per edit: {', '.join(cost)}"] if cost else []
    if result.skipped:
        first = result.skipped[0]
        rest = f" (and {len(result.skipped) - 1} more, in results.json)" if len(result.skipped) > 1 else ""
        lines.append(
            f"skipped: {counted(len(result.skipped), 'record')}: {_shown(first.record)}: {_shown(first.reason)}{rest}"
        )
    counts = ", ".join(f"{name} {count}" for name, count in sorted(result.error_counts.items()) if count)
    if counts:
        lines.append(f"counted: {counts}")
    return lines


def print_table(result: RunResult, console: Console | None = None) -> None:
    """Print the table; in a pipe or a file as plain text of at most 80 columns.

    Args:
        result: the run.
        console: where to; standard output by default.
    """
    console = console or Console(highlight=False)
    console.print(render(result, console.encoding))


def print_paths(paths: list[Path], console: Console | None = None) -> None:
    """Say where the files of a run are, one a line; a path is never broken, so that it can be copied."""
    console = console or Console(highlight=False)
    for path in paths:
        console.print(Text(_in(console.encoding, str(path))), soft_wrap=True)


def _title(result: RunResult) -> str:
    edits = result.edits_made
    return f"{counted(edits, 'edit')}, before and after"


def _shown(text: str) -> str:
    """``text`` without control characters, which would move a terminal's cursor or worse."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _in(encoding: str, text: str) -> str:
    """``text`` with whatever ``encoding`` lacks replaced."""
    return text.encode(encoding, "replace").decode(encoding)
