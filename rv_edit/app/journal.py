"""The write-ahead journal: what was changed, a line each, on the disk before anybody is told that it is done.

A line is ``{"sha256": …, "record": {"n": …, …}}``; the hash is that of the record's text, ``n`` counts from 0. What a
crash leaves of the last line is cut off, kept beside the journal and reported; it was acknowledged to nobody. A line
that is damaged anywhere else stops the start: then acknowledged changes are at stake, and somebody must look.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rv_edit.durable import sync_folder
from rv_edit.errors import ConfigError

_HEAD, _MIDDLE, _TAIL = b'{"sha256": "', b'", "record": ', b"}\n"
_DIGEST = 64


class JournalError(OSError):
    """A change that could not be made durable: it did not happen. The message is one line."""


@dataclass(frozen=True)
class Torn:
    """What a crash left of the last line.

    Attributes:
        size: bytes.
        kept: where they lie now.
    """

    size: int
    kept: Path


class Journal:
    """Records, appended and never changed.

    Args:
        path: the file; made where it does not exist.

    Attributes:
        records: what was in it when it was opened.
        torn: what was cut off then, if anything.
        size: bytes of whole lines.

    Raises:
        ConfigError: it cannot be read or written, or a line other than the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn: Torn | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            data = path.read_bytes() if path.exists() else b""
            self.records, self.size = read_lines(data, path)
            if self.size < len(data):
                self.torn = self._keep(data[self.size :])
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._file, self.size)
            os.fsync(self._file)
            sync_folder(path.parent)
        except OSError as error:
            raise ConfigError(
                f"journal {path}: {error.strerror or error}; free space or choose another folder"
            ) from error
        self.count = len(self.records)
        self._broken = ""

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record and wait until it is on the disk.

        Raises:
            JournalError: it is not; the journal is as it was before, or takes no more records.
        """
        if self._broken:
            raise JournalError(f"journal {self.path}: takes no more changes ({self._broken}); restart the service")
        line = format_line({"n": self.count, **record})
        try:
            os.lseek(self._file, self.size, os.SEEK_SET)
            left = memoryview(line)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            self._take_back(error)
            raise JournalError(f"journal {self.path}: {error.strerror or error}; nothing was changed") from error
        self.size += len(line)
        self.count += 1

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
        self._broken = "it is closed"

    def _take_back(self, cause: OSError) -> None:
        """Cut off what was written of a line. Where that fails nobody knows what is on the disk: take no more."""
        try:
            os.ftruncate(self._file, self.size)
            os.fsync(self._file)
        except OSError as error:
            self._broken = f"{cause.strerror or cause}, then {error.strerror or error}"

    def _keep(self, rest: bytes) -> Torn:
        kept = self.path.with_name(f"{self.path.name}.torn")
        with kept.open("ab") as file:
            file.write(rest + b"\n")
        return Torn(len(rest), kept)


def format_line(record: Mapping[str, Any]) -> bytes:
    """A record as its line.

    >>> read_lines(format_line({"n": 0, "kind": "undo"}), Path("x"))[0]
    [{'n': 0, 'kind': 'undo'}]
    """
    text = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    return _HEAD + hashlib.sha256(text).hexdigest().encode("ascii") + _MIDDLE + text + _TAIL


def read_lines(data: bytes, path: Path) -> tuple[list[dict[str, Any]], int]:
    """The records of whole lines, and how many bytes those are; the rest is a torn last line.

    Raises:
        ConfigError: a damaged line before a whole one, or a record out of order.
    """
    records: list[dict[str, Any]] = []
    good = 0
    lines = data.split(b"\n")
    whole = [line + b"\n" for line in lines[:-1]]
    for number, line in enumerate(whole, 1):
        record = _read(line)
        if record is not None and record.get("n") == len(records):
            records.append(record)
            good += len(line)
        elif record is not None or number < len(whole) or lines[-1] or number == 1:
            raise _damaged(path, number)
    if data.rfind(_HEAD) > good:  # the line before it has lost its end, so it was a whole one
        raise _damaged(path, len(records) + 1)
    return records, good


def _damaged(path: Path, number: int) -> ConfigError:
    return ConfigError(
        f"journal {path}, line {number}: damaged or missing, and no last line that a crash tore; restore the "
        "file from a copy, or move it away to begin without these edits"
    )


def _read(line: bytes) -> dict[str, Any] | None:
    """The record of a line; ``None`` where it is not as it was written."""
    start = len(_HEAD) + _DIGEST
    text = line[start + len(_MIDDLE) : -len(_TAIL)]
    whole = line.startswith(_HEAD) and line[start : start + len(_MIDDLE)] == _MIDDLE and line.endswith(_TAIL)
    if not whole or hashlib.sha256(text).hexdigest().encode("ascii") != line[len(_HEAD) : start]:
        return None
    record = json.loads(text)
    return record if isinstance(record, dict) else None
