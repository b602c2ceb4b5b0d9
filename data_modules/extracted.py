"""Rows with pictures inside, taken out once: pictures as files, rows as lines, in parts that each appear whole.

Interrupted at any time, it goes on behind the last whole part; several processes may take out the same at once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from data_modules.records import RecordError

Row = dict[str, Any]
PART = 512
"""Rows a part: what an interruption costs at most."""
_DONE = "complete.json"


class Extracted:
    """The rows of one split, outside of the file they came in.

    Args:
        folder: of this split; pictures go into ``folder/pictures``.
        picture: the column with the picture, which is replaced by the name of its file.
    """

    def __init__(self, folder: Path, picture: str = "image") -> None:
        self.folder = folder
        self.picture = picture

    def rows(self, source: Callable[[int], Iterator[Row]]) -> list[Row]:
        """All rows, from the disk where they are taken out already, else from ``source(start)``.

        A row's picture becomes ``{"file": path or None}``; ``None`` where the row has no picture.

        Raises:
            RecordError: the folder cannot be written or read; what was taken out is kept.
        """
        try:
            kept, complete = self._kept()
            if not complete:
                kept += self._take(source(len(kept)), len(kept))
                _write(self.folder / _DONE, json.dumps({"rows": len(kept)}).encode())
            return kept
        except OSError as error:
            raise RecordError(
                f"{self.folder}: cannot be written ({error.strerror or error}); free space or choose another cache=; "
                "the same command goes on where this one stopped"
            ) from error

    def _kept(self) -> tuple[list[Row], bool]:
        """Rows of the whole parts from the first on, and whether those are all."""
        rows: list[Row] = []
        while (part := self._part(len(rows))).is_file():
            try:
                found = [json.loads(line) for line in part.read_bytes().splitlines()]
            except ValueError:
                part.unlink()  # renamed into place whole, so damaged afterwards: it is made again
                break
            if not found:
                break
            rows += found
        try:
            wanted = json.loads((self.folder / _DONE).read_bytes())["rows"]
        except (OSError, ValueError, KeyError, TypeError):
            return rows, False
        return rows, wanted == len(rows)

    def _take(self, source: Iterator[Row], start: int) -> list[Row]:
        taken: list[Row] = []
        while chunk := list(islice(source, PART)):
            rows = [{**row, self.picture: {"file": self._save(row.get(self.picture))}} for row in chunk]
            body = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
            _write(self._part(start + len(taken)), body.encode("ascii"))
            taken += rows
        return taken

    def _part(self, start: int) -> Path:
        return self.folder / f"rows-{start:07}.jsonl"

    def _save(self, picture: Any) -> str | None:
        data = picture.get("bytes") if isinstance(picture, dict) else None
        if not data:
            return None
        name = hashlib.sha256(data).hexdigest()
        path = self.folder / "pictures" / name[:2] / f"{name}{_suffix(data)}"
        if not path.is_file():
            _write(path, data)
        return str(path.relative_to(self.folder))


def _write(path: Path, data: bytes) -> None:
    """The file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _suffix(data: bytes) -> str:
    return ".png" if data.startswith(b"\x89PNG") else ".jpg" if data.startswith(b"\xff\xd8") else ""
