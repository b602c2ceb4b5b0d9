"""What the user sees after a run: the table, ``results.json``, ``answers.jsonl`` and ``gallery.html``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rv_edit.report.files import ReportError, write_together
from rv_edit.report.gallery import Gallery
from rv_edit.report.result import RunResult, Skipped
from rv_edit.report.results import write_answers, write_results
from rv_edit.report.table import print_paths, print_table


def write_run(out_dir: str | Path, result: RunResult, gallery: Gallery | None = None) -> dict[str, Path]:
    """Write a run's files, all of them or none.

    Args:
        out_dir: the folder; it is created.
        result: the run.
        gallery: how the page is made.

    Returns:
        ``results``, ``answers`` and ``gallery`` -> where each is.

    Raises:
        ReportError: one line; files of an earlier run are as they were.
    """
    folder = Path(out_dir)
    paths = {
        "results": folder / "results.json",
        "answers": folder / "answers.jsonl",
        "gallery": folder / "gallery.html",
    }
    write_together(
        {
            paths["answers"]: partial(write_answers, result),
            paths["gallery"]: partial((gallery or Gallery()).write, result),
            paths["results"]: partial(write_results, result, folder),
        }
    )
    return paths


__all__ = ["Gallery", "ReportError", "RunResult", "Skipped", "print_paths", "print_table", "write_run"]
