"""Edit runs in processes of their own: one that fails, is killed or hangs costs no other, and its peak is its own.

Whoever runs a cell holds a lock in its folder, and so does the process that he started: two commands share the cells
among them, and a run that outlives its command is waited for, not repeated. The system lets go of a dead one's lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rv_edit
from rv_edit.report.files import ReportError
from rv_edit.tasks.cells import Cell
from rv_edit.tasks.keeping import Kept

try:
    import fcntl
except ImportError:  # a system without such locks: two commands may then run the same cell
    fcntl = None  # type: ignore[assignment]

FAILED = "failed.json"
TERMINAL = "terminal.txt"
LONGEST = 300
"""Letters of a reason."""


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: its ``results.json``, or why there is none; neither where it has not been run."""

    cell: Cell
    results: dict[str, Any] | None = None
    reason: str | None = None


class Runner:
    """Runs cells and stops them all when it is left.

    Args:
        root: the folder of all cells.
        limit_s: seconds after which a cell is given up; ``None``: never.
        command: what stands before the options.
        kept: where results are kept besides, and found again without their folder.
    """

    def __init__(
        self,
        root: Path,
        limit_s: float | None = None,
        command: Sequence[str] | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.root, self.limit_s, self.kept = root, limit_s, kept
        self.command = list(command or (sys.executable, "-m", "rv_edit"))
        self._live: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._stopped = False

    def known(self, cell: Cell) -> Outcome:
        """What earlier commands left of a cell; what only its folder has is kept besides from now on."""
        results = cell.results(self.root)
        if self.kept is not None:
            if results is None:
                results = self.kept.get(cell)
            else:
                self.kept.put(cell, results)
        if results is not None:
            return Outcome(cell, results)
        try:
            reason = str(json.loads((cell.folder(self.root) / FAILED).read_text(encoding="utf-8"))["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return Outcome(cell)
        return Outcome(cell, reason=reason)

    def __call__(self, cell: Cell, wait: bool = True) -> Outcome | None:
        """Run a cell unless it is finished; ``None``: another command is at it, and we do not ``wait``."""
        found = self.known(cell)
        if found.results is not None:
            return found
        folder = cell.folder(self.root)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _held(folder / ".lock", wait) as handle:
                if handle == BUSY:
                    return None
                found = self.known(cell)  # another may have finished it while we waited
                return found if found.results is not None else self._run(cell, folder, handle)
        except OSError as error:
            return Outcome(cell, reason=f"{folder}: {error.strerror or error}")
        except ReportError as error:  # where it is kept besides
            return Outcome(cell, reason=str(error))

    def stop(self) -> None:
        """End what still runs; what it has done is kept as far as there is a checkpoint."""
        with self._guard:
            self._stopped = True
            live = list(self._live)
        for process in live:
            process.terminate()
        for process in live:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    def _run(self, cell: Cell, folder: Path, handle: int | None) -> Outcome:
        checkpoints = folder / "checkpoints"
        goes_on = (checkpoints / "last.ckpt").is_file()
        status, reason = self._process(cell, folder, handle, ["resume=last"] if goes_on else [])
        if goes_on and status > 0:  # by itself, not by a signal: the checkpoint may be of no use
            shutil.rmtree(checkpoints, ignore_errors=True)
            status, reason = self._process(cell, folder, handle, [])
        results = cell.results(self.root)
        if results is not None:
            shutil.rmtree(checkpoints, ignore_errors=True)
            with contextlib.suppress(OSError):
                (folder / FAILED).unlink(missing_ok=True)
            if self.kept is not None:
                self.kept.put(cell, results)
            return Outcome(cell, results)
        if self._stopped:
            return Outcome(cell)
        _write(folder / FAILED, {"reason": reason, "status": status})
        return Outcome(cell, reason=reason)

    def _process(self, cell: Cell, folder: Path, handle: int | None, more: Sequence[str]) -> tuple[int, str]:
        """Status, negative for a signal, and one line of why it ended."""
        place = str(folder.resolve()).replace("'", "\\'")
        command = [*self.command, *cell.overrides, *more, f"hydra.run.dir='{place}'"]
        source = str(Path(rv_edit.__file__).resolve().parents[1])
        paths = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
        env = {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}
        with (folder / TERMINAL).open("wb") as log:
            with self._guard:
                if self._stopped:
                    return -1, "stopped"
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env,
                    pass_fds=() if handle is None else (handle,),
                )  # fmt: skip
                self._live.add(process)
            try:
                status = process.wait(self.limit_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return -9, f"given up after {self.limit_s:g} s"
            except BaseException:
                process.terminate()
                process.wait()
                raise
            finally:
                with self._guard:
                    self._live.discard(process)
        return status, reason_of((folder / TERMINAL).read_text(encoding="utf-8", errors="replace"), status)


def reason_of(terminal: str, status: int) -> str:
    r"""The line that tells why a run ended without results.

    >>> reason_of("editing\nerror: no such folder\n", 2)
    'no such folder'
    >>> reason_of("Traceback ...\n  File ...\nRuntimeError: odd\n", 1)
    'RuntimeError: odd'
    >>> reason_of("Mining 3 %", -9)
    'ended by signal 9'
    """
    if status < 0:
        return f"ended by signal {-status}"
    lines = [line.strip() for line in terminal.splitlines() if line.strip()]
    told = next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), None)
    text = told or (lines[-1] if lines else f"ended with status {status} and said nothing")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:LONGEST]


BUSY = -1


@contextmanager
def _held(path: Path, wait: bool) -> Iterator[int | None]:
    """The open, locked file; :data:`BUSY` where another process has it; ``None`` where there are no locks."""
    if fcntl is None:
        yield None
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield BUSY
            return
        yield handle
    finally:
        os.close(handle)


def _write(path: Path, value: Any) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, ensure_ascii=True), encoding="utf-8")
    os.replace(temporary, path)
