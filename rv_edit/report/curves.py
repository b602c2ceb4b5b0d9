"""Finished runs as tables and pictures: curves over edits (paper Fig. 4), times (Fig. 12), ablations (Fig. 5, 11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rv_edit.report.figures import ablation_figure, save_figure, sequential_figure, times_figure
from rv_edit.report.files import write_together
from rv_edit.report.tables import write_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIB = 1024
Row = dict[str, Any]


def curve_rows(label: str, curve: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row for each round: its edits, each suite's mean, interval, number of questions and accept rate, and the cost.

    Args:
        label: of the run.
        curve: as ``results.json`` has it.
    """
    rows = []
    for point in curve:
        row: Row = {"run": label, "edits": point["edits"], "asked_edits": point["asked_edits"]}
        for suite, figure in point["metrics"].items():
            row[suite] = figure["mean"]
            row[f"{suite}_low"], row[f"{suite}_high"] = figure["ci95"]
            row[f"{suite}_n"] = figure["n"]
            row[f"{suite}_accept"] = point["accept_rate"].get(suite)
        row["seconds_per_edit"] = point["seconds_per_edit"]
        row["keys"] = point["keys"]
        row["kb"] = point["nbytes"] / KIB
        rows.append(row)
    return rows


def end_row(label: str, results: Mapping[str, Any]) -> Row:
    """What a run came to: each suite's mean and interval after all edits, its accept rate, and what an edit cost."""
    row: Row = {"run": label, "edits": results.get("edits")}
    for suite, figure in results["after"].items():
        row[suite] = figure["mean"]
        row[f"{suite}_low"], row[f"{suite}_high"] = figure["ci95"]
        row[f"{suite}_accept"] = (results.get("accept_rate") or {}).get(suite)
    return row | {name: results.get(name) for name in ("seconds_per_edit", "kb_per_edit", "keys_per_edit")}


def write_curves(folder: Path, rows: Sequence[Row], title: str) -> list[Path]:
    """``curves.csv`` and ``curves.png`` (Fig. 4).

    Raises:
        ReportError: one of them cannot be written.
    """
    return _write(folder / "curves", rows, sequential_figure(rows, title))


def write_times(folder: Path, rows: Sequence[Row], title: str) -> list[Path]:
    """``times.csv`` and ``times.png`` (Fig. 12).

    Raises:
        ReportError: one of them cannot be written.
    """
    return _write(folder / "times", rows, times_figure(rows, title))


def write_ablation(folder: Path, rows: Sequence[Row], option: str, title: str) -> list[Path]:
    """``ablation.csv`` and ``ablation.png``: the runs against the values of an option (Fig. 5, 11).

    Raises:
        ReportError: one of them cannot be written.
    """
    return _write(folder / "ablation", rows, ablation_figure(rows, option, title))


def _write(place: Path, rows: Sequence[Row], figure: Figure) -> list[Path]:
    """A figure and the table it can be drawn from, as ``place`` with the endings of both."""
    table = place.with_suffix(".csv")
    write_together({table: partial(write_csv, _even(rows))})
    return [table, save_figure(figure, place.with_suffix(".png"))]


def _even(rows: Sequence[Row]) -> list[Row]:
    """Rows with the same fields; a suite that only some runs asked is empty in the others."""
    fields = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in fields} for row in rows]
