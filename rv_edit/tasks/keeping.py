"""Results of cells in one small file, to be kept beside the tables made of them and gone on from on another machine.

A line a cell: its key and its ``results.json``. What a cell's folder holds besides (answers, checkpoints, what the
terminal said) stays where it ran. The key says all that the figures depend on, so a line of other options, or of
another model, is never taken for a cell's.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from rv_edit.errors import ConfigError
from rv_edit.report.files import write_together
from rv_edit.tasks.cells import Cell

NAMED = ("model", "dataset", "editor", "key")


class Kept:
    """The file, read once and written whole with each new line.

    Args:
        path: where it lies, or will.

    Raises:
        ConfigError: a line of it is no cell's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._rows = self._read()

    def get(self, cell: Cell) -> dict[str, Any] | None:
        """What came out of a cell, as far as it is here."""
        found = self._rows.get(cell.key)
        return None if found is None else found["results"]

    def put(self, cell: Cell, results: dict[str, Any]) -> None:
        """Keep what came out of a cell.

        Raises:
            ReportError: the file cannot be written; what was there before is as it was.
        """
        found = _portable(results)
        row = {"model": cell.model, "dataset": cell.dataset, "editor": cell.editor, "key": cell.key, "results": found}
        with self._guard:
            if self._rows.get(cell.key) == row:
                return
            self._rows = {**self._read(), **self._rows, cell.key: row}  # another command may have added some
            lines = sorted(self._rows.values(), key=lambda row: tuple(row[name] for name in NAMED))
            write_together({self.path: lambda stream: stream.writelines(json.dumps(line) + "\n" for line in lines)})

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self.path.is_file():
            return {}
        try:
            text = self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path}: cannot be read ({error})") from error
        rows = (self._row(line, number) for number, line in enumerate(text.splitlines(), 1))
        return {row["key"]: row for row in rows}

    def _row(self, line: str, number: int) -> dict[str, Any]:
        try:
            row: dict[str, Any] = json.loads(line)
            if all(isinstance(row[name], str) for name in NAMED) and isinstance(row["results"], dict):
                return row
        except (ValueError, KeyError, TypeError):
            pass
        raise ConfigError(f"{self.path}, line {number}: no results of a cell; take the line out")


def _portable(value: Any) -> Any:
    """Results without the option that names a place of the machine they come from."""
    if isinstance(value, dict):
        return {name: _portable(item) for name, item in value.items() if name != "cache"}
    return [_portable(item) for item in value] if isinstance(value, list) else value
