"""A table of editors as plain rows: one a suite of a cell, for other programs and for drawing the figures again."""

from __future__ import annotations

from typing import Any

from rv_edit.report.comparison.entry import Comparison, Entry
from rv_edit.report.comparison.paper import SUITES


def table_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Every suite of every cell, those that failed or have not run with empty figures, and the paper's mean beside."""
    return [
        _row(comparison, entry, suite)
        for dataset in comparison.datasets
        for model in comparison.models
        for editor in comparison.editors
        if (entry := comparison.entry(editor, model, dataset)) is not None
        for suite in _suites(entry)
    ]


def _suites(entry: Entry) -> list[str]:
    """The paper's, and whatever else was asked."""
    asked = [] if entry.results is None else [name for name in entry.results["after"] if entry.questions(name)]
    return [*SUITES, *(name for name in asked if name not in SUITES)]


def _row(comparison: Comparison, entry: Entry, suite: str) -> dict[str, Any]:
    figure, column = entry.figure(suite), comparison.paper(entry.model, entry.dataset).get(entry.editor)
    paper = None if column is None else column.get(suite)
    before = {} if entry.results is None else entry.results["before"].get(suite, {})
    return {
        "dataset": entry.dataset,
        "model": entry.model,
        "editor": entry.editor,
        "suite": suite,
        "before": before.get("mean"),
        "mean": None if figure is None else figure.mean,
        "low": None if figure is None else figure.low,
        "high": None if figure is None else figure.high,
        "questions": entry.questions(suite),
        "paper": None if paper is None else paper.mean,
        "edits": entry.edits,
        "edits_diverged": entry.counted("edits_diverged"),
        "edits_refused": entry.counted("edits_refused"),
        "seconds_per_edit": entry.cost("seconds_per_edit"),
        "peak_memory_mb": entry.cost("peak_memory_mb"),
        "kb_per_edit": entry.cost("kb_per_edit"),
        "commit": None if entry.results is None else entry.results.get("git_hash"),
        "failed": entry.reason if entry.results is None else None,
    }
