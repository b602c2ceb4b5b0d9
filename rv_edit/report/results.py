"""``results.json`` and ``answers.jsonl``: a run's figures and every single answer, for other programs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from rv_edit.report.result import Row, RunResult

SCHEMA = 1
"""Raised whenever a key of ``results.json`` changes its meaning."""


def results_document(result: RunResult, output: Path | None = None) -> dict[str, Any]:
    """The content of ``results.json``.

    ``before`` and ``after`` map each suite to ``{"mean", "ci95": [low, high], "n"}``; a suite that was not asked
    has ``null`` for figures and ``n`` 0. ``curve`` has the rounds of sequential editing; it is empty without them. Two
    runs of the same command differ in ``timings``, ``peak_memory_mb`` and every ``seconds_per_edit`` alone: where the
    options name the folder of the run, ``output``, they say ``<output>``.
    """
    return {
        "schema": SCHEMA,
        "edits": result.edits_made,
        "seconds_per_edit": result.seconds_per_edit,
        "peak_memory_mb": result.peak_memory_mb,
        "kb_per_edit": result.kb_per_edit,
        "keys_per_edit": result.keys_per_edit,
        "before": {suite: dict(figure) for suite, figure in result.metrics["before"].items()},
        "after": {suite: dict(figure) for suite, figure in result.metrics["after"].items()},
        "accept_rate": dict(result.accept_rate),
        "curve": [dict(point) for point in result.curve],
        "codebook": dict(result.codebook),
        "skipped": [asdict(skipped) for skipped in result.skipped],
        "error_counts": dict(sorted(result.error_counts.items())),
        "seed": result.seed,
        "git_hash": result.git_hash,
        "versions": dict(result.versions),
        "config": _placeless(result.config, output),
        "timings": dict(result.timings),
    }


def write_results(result: RunResult, output: Path | None, stream: TextIO) -> None:
    """Write ``results.json``: indented, keys in the order of :func:`results_document`, no NaN."""
    json.dump(_plain(results_document(result, output)), stream, indent=2, ensure_ascii=False, allow_nan=False)
    stream.write("\n")


def answer_record(row: Row) -> dict[str, Any]:
    """One line of ``answers.jsonl``.

    ``prediction``, ``scores``, ``correct``, ``facts``, ``fact_distances``, ``distances``, ``accepted`` and
    ``threshold`` are those after the edits; ``prediction_before``, ``scores_before`` and ``correct_before`` the
    unedited model's. ``fact_distances`` has one distance a fact, that of the key that held it; ``distances`` one for
    each of the K nearest keys, of which several may hold the same facts.
    """
    question, before, after = row.question, row.before, row.after
    return {
        "suite": question.suite,
        "id": question.id,
        "edit_id": question.edit_id,
        "question": question.text,
        "image": question.image.sha,
        "choices": question.choices,
        "target": question.target,
        "prediction_before": None if before is None else before.prediction,
        "scores_before": None if before is None else before.scores,
        "correct_before": row.is_right(before),
        "prediction": after.prediction,
        "scores": after.scores,
        "correct": row.right,
        "accepted": after.accepted,
        "threshold": after.threshold,
        "distances": after.distances,
        "facts": after.facts,
        "fact_distances": after.fact_distances,
    }


def write_answers(result: RunResult, stream: TextIO) -> None:
    """Write ``answers.jsonl``: every question of every suite, one a line, in the order of :attr:`RunResult.rows`."""
    for row in result.rows:
        stream.write(json.dumps(_plain(answer_record(row)), ensure_ascii=False, allow_nan=False) + "\n")


def _placeless(value: Any, output: Path | None) -> Any:
    """Options with the folder of the run replaced, which bears the time of day."""
    if isinstance(value, Mapping):
        return {key: _placeless(item, output) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_placeless(item, output) for item in value]
    if isinstance(value, str) and output is not None:
        for folder in (str(output.resolve()), str(output)):
            if value == folder or value.startswith(folder + os.sep):
                return "<output>" + value[len(folder) :]
    return value


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it: mappings and sequences copied, NaN and infinities as ``null``."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [_plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return str(value)
