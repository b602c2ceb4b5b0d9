"""``task=compare``: two finished runs, a paired test over edits for each suite. No model is needed."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from omegaconf import DictConfig

from rv_edit.report.comparing import TEST, Row, compare_runs, print_comparison
from rv_edit.report.files import write_together
from rv_edit.report.reading import read_runs
from rv_edit.report.table import print_paths
from rv_edit.report.tables import write_csv
from rv_edit.tasks.checks import whole, writable


def run(cfg: DictConfig) -> list[Row]:
    """Run the task: a table on the terminal, ``compare.csv`` and ``compare.json`` in ``cfg.output``.

    Raises:
        ConfigError: not two folders, no finished run in one of them, or runs that asked other questions.
    """
    one, other = read_runs(cfg.runs, least=2, most=2)
    rows = compare_runs(one, other, whole("seed", cfg.seed))
    folder = writable(Path(cfg.output))
    document = {"one": str(one.folder), "other": str(other.folder), "test": TEST, "suites": rows}
    paths = write_together(
        {
            folder / "compare.csv": partial(write_csv, rows),
            folder / "compare.json": partial(_write_json, document),
        }
    )
    names = [f"{place.label} ({place.folder})" for place in (one, other)]
    print_comparison(rows, names[0], names[1])
    print_paths(paths)
    return rows


def _write_json(document: dict[str, Any], stream: TextIO) -> None:
    json.dump(document, stream, indent=2, ensure_ascii=False, allow_nan=False)
    stream.write("\n")
