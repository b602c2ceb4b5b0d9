"""Two finished runs side by side: per suite a paired test over edits, as a table, CSV and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_modules.records import SUITES
from rv_edit.errors import ConfigError
from rv_edit.metrics.paired import compare, holm
from rv_edit.report.reading import FinishedRun, read_answers
from rv_edit.report.table import metric_name

Row = dict[str, Any]
TEST = "exact two-sided test over edits by flipping signs (one question an edit: McNemar's exact test)"
SAME = ("question", "image", "choices", "target")
"""What must be equal in both runs' answers to a question."""


def compare_runs(one: FinishedRun, other: FinishedRun, seed: int = 0) -> list[Row]:
    """A row for each suite: both shares, their difference with its interval, better and worse edits, p.

    Raises:
        ConfigError: the runs asked other questions, so that no pairs can be made.
    """
    left, right = _by_question(one), _by_question(other)
    _refuse_others(left, right, one, other)
    names = {key[0] for key in left}
    suites = [*(suite for suite in SUITES if suite in names), *sorted(names - set(SUITES))]
    rows = []
    for suite in suites:
        keys = sorted(key for key in left if key[0] == suite)
        # a Loc question is no edit's own, though single edits ask it after one: it is a pair by itself
        pairs = [f"question {name}" if suite == "loc" or not edit else f"edit {edit}" for _, name, edit in keys]
        found = compare(
            [left[key]["correct"] for key in keys], [right[key]["correct"] for key in keys], pairs, seed=seed
        )
        rows.append({"suite": suite, "difference": found.other - found.one, **found._asdict()})
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted
    return rows


def render(rows: Sequence[Row], one: str, other: str) -> RenderableType:
    """The table and, under it, what was tested."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("metric", "one", "other", "difference [95 %]", "edits", "+ / -", "p", "p (Holm)"):
        table.add_column(name, no_wrap=True, justify="left" if name == "metric" else "right")
    for row in rows:
        table.add_row(
            metric_name(row["suite"]),
            f"{row['one']:.3f}",
            f"{row['other']:.3f}",
            f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
            str(row["edits"]),
            f"{row['better']} / {row['worse']}",
            p_value(row["p"]),
            p_value(row["p_holm"]),
        )
    lines = [f"one: {one}", f"other: {other}", f"p: {TEST}"]
    return Group(table, *(Text(line, overflow="fold") for line in lines))


def p_value(p: float) -> str:
    """Three digits after the point, and never 0.

    >>> p_value(0.04), p_value(1e-7)
    ('0.040', '<0.001')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def print_comparison(rows: Sequence[Row], one: str, other: str, console: Console | None = None) -> None:
    """Print :func:`render`."""
    (console or Console(highlight=False)).print(render(rows, one, other))


def _by_question(run: FinishedRun) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    found: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for row in read_answers(run):
        key = (str(row["suite"]), str(row["id"]), str(row.get("edit_id") or ""))
        if key in found:
            raise ConfigError(f"runs: {run.folder}: {key[0]} question {key[1]} occurs twice; run again")
        found[key] = row
    return found


def _refuse_others(
    left: Mapping[tuple[str, str, str], Mapping[str, Any]],
    right: Mapping[tuple[str, str, str], Mapping[str, Any]],
    one: FinishedRun,
    other: FinishedRun,
) -> None:
    hint = "compare runs of the same data set, model, seed and number of edits"
    for mine, theirs, run, lacking in ((left, right, one, other), (right, left, other, one)):
        missing = sorted(set(mine) - set(theirs))
        if missing:
            suite, name, edit = missing[0]
            about = f" of edit {edit}" if edit else ""
            raise ConfigError(
                f"runs: {len(missing)} questions of {run.folder} were not asked in {lacking.folder}, "
                f"e.g. {suite} {name}{about}; {hint}"
            )
    for key, row in left.items():
        for name in SAME:
            if row.get(name) != right[key].get(name):
                raise ConfigError(
                    f"runs: {key[0]} {key[1]} has another {name} in {one.folder} than in {other.folder}; {hint}"
                )
