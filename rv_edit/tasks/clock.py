"""Seconds by part of a run, and the most memory that one part of it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MIB = 1024 * 1024
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
"""Where Linux keeps a process's peak, and what it takes to forget it: writing 5."""


class Clock:
    """Seconds by part of a run.

    Attributes:
        seconds: by part.
        peak_mb: MiB at the peak of the part that was watched: of the accelerator's memory where there is one, else of
            the whole process; ``None`` where the system does not tell.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_mb: float | None = None

    @contextmanager
    def __call__(self, part: str, watched: bool = False) -> Iterator[None]:
        """Add the time of a block to ``part``; the memory of a ``watched`` one is noted."""
        if watched:
            _forget_peak()
        started = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - started
        if watched:
            self.peak_mb = _peak_mb()


def _forget_peak() -> None:
    """Begin anew, so that what came before (asking many questions together) does not count."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):  # elsewhere the peak is that of the whole run so far
        RESET.write_text("5")


def _peak_mb() -> float | None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / MIB
    with suppress(OSError, ValueError, IndexError, StopIteration):
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return float(line.split()[1]) / 1024
    with suppress(ImportError, OSError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / MIB if sys.platform == "darwin" else peak / 1024  # bytes there, KiB elsewhere
    return None
