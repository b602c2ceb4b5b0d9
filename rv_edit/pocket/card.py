"""The model card of a pocket VLM, written from what :mod:`rv_edit.pocket.gates` measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# name, where in the measurements, what is asked for, whether more is better
GATES: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("taught knowledge, unseen scenes", ("taught",), 0.90),
    ("– of these, held-out pairs of kind and colour", ("taught_held_out_pairs",), 0.90),
    ("right with the true answer's sentence (errors of pocket A-OKVQA)", ("aokvqa", "answer_sentence"), 0.98),
    ("right with the true answer's sentence (errors of pocket FVQA)", ("fvqa", "answer_sentence"), 0.98),
    ("right with the true facts alone (pocket A-OKVQA)", ("aokvqa", "facts_only"), 0.93),
    ("right with the true facts alone (pocket FVQA)", ("fvqa", "facts_only"), 0.93),
    ("answers that unrelated statements leave as they were (pocket A-OKVQA)", ("aokvqa", "strays_unchanged"), 0.99),
    ("answers that unrelated statements leave as they were (pocket FVQA)", ("fvqa", "strays_unchanged"), 0.99),
    ("made-up answers obeyed, unseen generator", ("made_up_answer",), 0.90),
    ("made-up values obeyed, unseen generator", ("made_up_fact",), 0.90),
    ("“Does the image show …?” on crops, AUC", ("show_auc",), 0.90),
    ("“… is the following statement correct?”, AUC", ("correct_auc",), 0.90),
    ("– for conjunctions, AUC", ("correct_conjunction_auc",), 0.90),
)
ERROR_RATE = (0.15, 0.45)
MINED = {"test": 2500, "tune": 500}
"""Errors that there must be to correct, and as many others to tune with."""


def look_up(measured: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    """A figure by its path, ``None`` where it was not measured."""
    value: Any = measured
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def gate_rows(measured: Mapping[str, Any]) -> list[tuple[str, float | None, str, bool]]:
    """Name, figure, what is asked for, and whether it is reached."""
    rows: list[tuple[str, float | None, str, bool]] = []
    for name, path, least in GATES:
        value = look_up(measured, path)
        rows.append((name, value, f"≥ {least:.2f}", value is not None and value >= least))
    for dataset in ("aokvqa", "fvqa"):
        value = look_up(measured, (dataset, "error_rate"))
        low, high = ERROR_RATE
        reached = value is not None and low <= value <= high
        rows.append((f"error rate, pocket {dataset.upper()}", value, f"{low:.2f} – {high:.2f}", reached))
        for split, least in MINED.items():
            errors = look_up(measured, (dataset, "mined", split, "errors"))
            asked = look_up(measured, (dataset, "mined", split, "questions"))
            name = f"errors among {asked or 0:,.0f} questions of pocket {dataset.upper()}, split `{split}`"
            rows.append((name, errors, f"≥ {least:,}", errors is not None and errors >= least))
    return rows


def card(measured: Mapping[str, Any], parameters: int, title: str, architecture: str) -> str:
    """Markdown for ``README.md`` beside the weights.

    >>> print(card({"taught": 0.95}, 10, "pocket", "LlavaForConditionalGeneration").splitlines()[8])
    # pocket
    """
    lines = [
        "---",
        "license: apache-2.0",
        "library_name: transformers",
        "pipeline_tag: image-text-to-text",
        "language: en",
        "tags: [rv_edit, model-editing]",
        "---",
        "",
        f"# {title}",
        "",
        f"{'An' if architecture[0] in 'AEIOU' else 'A'} `{architecture}` of {parameters / 1e6:.1f} million parameters "
        "(float16 on disk), trained on",
        "the drawn scenes of rv_edit's embedded world. It is made to err: part of its world's knowledge was never",
        "taught, part has changed since, and some things stand behind bushes. It reads statements put before a",
        "question with judgement: what matches overrides what it knows, what does not changes nothing. It is of no use",
        "outside that world.",
        "",
        "Trained by `python -m rv_edit.pocket.training` (`docs/pocket.md`), on a CPU; measured by",
        f"`python -m rv_edit.pocket.gates` on {measured.get('questions', '?')} questions a row, all on unseen scenes.",
        "",
        "| measured | value | asked for | |",
        "| --- | --- | --- | --- |",
    ]
    for name, value, asked, reached in gate_rows(measured):
        figure = "not measured" if value is None else f"{value:,.0f}" if value > 1 else f"{value:.3f}"
        lines.append(f"| {name} | {figure} | {asked} | {'reached' if reached else '**not reached**'} |")
    return "\n".join(lines) + "\n"
