"""Everything that was paid for, in files that only grow: a line is on the disk before the next step begins.

Each process appends to a file of its own and reads those of all, so that parallel and later runs share what was
made. A crash can tear the last line at most; it is cut off before anything is appended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rv_edit.errors import ConfigError

Row = dict[str, Any]


class DiskError(ValueError):
    """What was made could not be written. One line; it stops the build, which goes on when there is room again."""


class Journal:
    """Answers by the key of their request; a context manager that holds the file's lock.

    Args:
        folder: where the files lie; created.
        name: this process' own file, ``<name>.jsonl``.
        reserve: bytes that must be free before anything is asked for, since what is paid for must be kept.

    Raises:
        ConfigError: another process writes this file or builds what overlaps with this part, the folder cannot be
            written, or a file in it is damaged elsewhere than in its last line.
    """

    def __init__(self, folder: Path, name: str = "all", reserve: int = 0) -> None:
        self.folder, self.reserve = folder, reserve
        self.path = folder / f"{name}.jsonl"
        self.rows: dict[str, Row] = {}
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written ({error.strerror or error})") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ConfigError(
                f"{self.path}: another process is writing it; wait for it, or share the work with task.shard=i/n"
            ) from error
        try:
            for path in sorted(folder.glob("*.jsonl")):
                if path != self.path and _overlap(path.stem, name) and _is_written(path):
                    raise ConfigError(
                        f"{path}: another process is still writing it; wait for it, or the same is paid for twice"
                    )
                rows, sound = read_rows(path)
                self.rows.update(rows)
                if path == self.path:
                    os.ftruncate(self._file.fileno(), sound)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back."""
        self._file.close()

    def get(self, key: str) -> Row | None:
        """The row kept under ``key``."""
        return self.rows.get(key)

    def check_room(self) -> None:
        """Stop before something is paid for that could not be kept.

        Raises:
            DiskError: fewer than ``reserve`` bytes are free.
        """
        free = shutil.disk_usage(self.folder).free
        if free < self.reserve:
            raise DiskError(
                f"{self.folder}: {free // 2**20} MB are free, less than task.reserve_mb; free some space and give the "
                "same command again: it goes on where it stopped"
            )

    def put(self, key: str, row: Row) -> Row:
        """Append a row and wait until it is on the disk.

        Raises:
            DiskError: it cannot be written; the file is as it was.
        """
        line = json.dumps({"key": key, **row}, ensure_ascii=True).encode("ascii") + b"\n"
        with self._lock:
            before = os.fstat(self._file.fileno()).st_size
            try:
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(28, os.strerror(28))
                os.fsync(self._file.fileno())
            except OSError as error:
                with contextlib.suppress(OSError):  # what is torn off here is cut off when the file is read
                    os.ftruncate(self._file.fileno(), before)
                raise disk_error(self.path, error) from error
            self.rows[key] = row
        return row


def _overlap(one: str, other: str) -> bool:
    """Whether two parts, by the names of their journals, may want the same items: all but those of one division do."""
    division = one.rpartition("-of-")[2]
    return not (division == other.rpartition("-of-")[2] and "-of-" in one and "-of-" in other)


def _is_written(path: Path) -> bool:
    """Whether another process has this journal open."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def read_rows(path: Path) -> tuple[dict[str, Row], int]:
    """The rows of a file by their keys, and the length in bytes of its sound part.

    Raises:
        ConfigError: unreadable, or damaged elsewhere than in its last line.
    """
    rows: dict[str, Row] = {}
    sound = 0
    for number, line in enumerate(_lines(path), 1):
        if not line.endswith(b"\n"):
            break  # torn by a crash; even where it is whole by chance, nothing says so
        try:
            row = json.loads(line)
            rows[row.pop("key")] = row
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}, line {number}: damaged; remove that line, or choose another task.folder"
            ) from error
        sound += len(line)
    return rows, sound


def disk_error(path: Path, error: OSError) -> DiskError:
    """The one line for a file that cannot be written."""
    reason = error.strerror or str(error)
    return DiskError(
        f"{path}: cannot be written ({reason}); free some space and give the same command again: it goes on where it "
        "stopped"
    )


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            yield from stream
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
