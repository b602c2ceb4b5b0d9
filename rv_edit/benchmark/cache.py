"""A folder of results that take long to compute: one JSON-lines file a chunk of work, checked when it is read.

A chunk's file name is a hash of all that its rows depend on, so nothing is ever stale and a data set that grew
keeps what is unchanged. Files appear whole or not at all; a damaged one is remade. The cache is a convenience: where it
cannot be written, the work goes on without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Raised whenever rows, or the way in which they are computed, change."""

Row = dict[str, Any]

_log = logging.getLogger(__name__)


def digest(*parts: object) -> str:
    """A hash of plain values (texts, numbers, lists, mappings), independent of the order of mappings."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def software() -> dict[str, str]:
    """Versions of what log-probabilities depend on: kernels, model code, tokenizer, picture decoding."""
    return {
        "machine": platform.machine(),
        **{name: version(name) for name in ("torch", "transformers", "tokenizers", "pillow")},
    }


class ChunkCache:
    """Rows of a chunk by the hash of what they depend on.

    Args:
        folder: where the files lie; ``None``: nothing is kept.
        context: what all chunks depend on (model, options, software); it is part of every key and written
            into each file's first line, for the reader of the folder.
    """

    def __init__(self, folder: str | Path | None, context: Mapping[str, Any]) -> None:
        self.folder = None if folder is None else Path(folder)
        self.context = {"schema": SCHEMA, **context}
        self.hits = 0
        self._writable = True

    def path(self, items: Sequence[str]) -> Path | None:
        """The file for a chunk whose items have these hashes."""
        return None if self.folder is None else self.folder / f"{digest(self.context, items)[:32]}.jsonl"

    def get(self, items: Sequence[str]) -> list[Row] | None:
        """The rows kept for these items, or ``None`` where there are none that can be trusted."""
        path = self.path(items)
        if path is None:
            return None
        try:
            head, _, body = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("cache file %s cannot be read (%s): it is computed anew", path, error.strerror)
            return None
        try:
            header = json.loads(head)
            rows = [json.loads(line) for line in body.splitlines()]
            sound = header["sha256"] == hashlib.sha256(body).hexdigest() and len(rows) == len(items)
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            _log.warning("cache file %s is damaged: it is computed anew", path)
            return None
        self.hits += 1
        return rows

    def put(self, items: Sequence[str], rows: Iterable[Row]) -> None:
        """Keep the rows of these items, one each; a full or read-only disk costs a warning, not the run."""
        path = self.path(items)
        if path is None or not self._writable:
            return
        body = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows).encode("ascii")
        header = {"sha256": hashlib.sha256(body).hexdigest(), **self.context}
        # Ranks and parallel runs may make the same chunk: each writes a file of its own, the last rename wins.
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(json.dumps(header, sort_keys=True, default=str).encode() + b"\n" + body)
            os.replace(temporary, path)
        except OSError as error:
            self._writable = False
            _log.warning("cache folder %s cannot be written (%s): going on without it", path.parent, error.strerror)
            with contextlib.suppress(OSError):  # where the folder itself is out of reach, nothing is left to clean
                temporary.unlink(missing_ok=True)
