"""How fast a service may be asked, and how long to wait when it has had enough."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from rv_edit.benchmark.building.requests import StoppedError


class Pacer:
    """Spends at most so much a minute, evenly, over all threads that ask it.

    Args:
        per_minute: requests or tokens; ``None``: no limit.
        now: the time in seconds.
    """

    def __init__(self, per_minute: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._now = now
        self._free = -math.inf
        self._lock = threading.Lock()

    def delay(self, cost: float = 1.0) -> float:
        """Book ``cost``; returns the seconds to wait before it may be spent.

        >>> clock = [0.0]
        >>> pacer = Pacer(60, now=lambda: clock[0])
        >>> [pacer.delay(), pacer.delay(), pacer.delay()]
        [0.0, 1.0, 2.0]
        """
        if self.per_minute is None:
            return 0.0
        with self._lock:
            now = self._now()
            start = max(now, self._free)
            self._free = start + cost * 60.0 / self.per_minute
            return start - now


class Gate:
    """Holds all threads back until a time that any of them may put off."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until = -math.inf
        self._lock = threading.Lock()

    def close_for(self, seconds: float) -> None:
        """Let nobody through for so long."""
        with self._lock:
            self._until = max(self._until, self._now() + seconds)

    def delay(self) -> float:
        """Seconds until it opens."""
        with self._lock:
            return max(0.0, self._until - self._now())


@dataclass(frozen=True)
class Backoff:
    """Waits between attempts: ``first`` seconds, doubled each time up to ``longest``, the last half of it at random."""

    first: float
    longest: float

    def delay(self, turn: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds after attempt ``turn`` (from 0).

        >>> Backoff(1.0, 60.0).delay(3, chance=lambda: 1.0)
        8.0
        """
        whole = min(self.longest, self.first * 2.0 ** min(turn, 60))
        return whole / 2 + whole / 2 * chance()


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds that a reply asks to wait: ``Retry-After-Ms``, or ``Retry-After`` as seconds or as a date.

    >>> retry_after({"retry-after": "7"}), retry_after({"retry-after": "soon"})
    (7.0, None)
    """
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000.0)
    except (KeyError, ValueError):
        pass
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        moment = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
        seconds = (moment - datetime.fromtimestamp(now(), timezone.utc)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def wait(seconds: float, stop: threading.Event) -> None:
    """Sleep, unless the build is stopped meanwhile.

    Raises:
        StoppedError: it was.
    """
    if stop.wait(seconds) if seconds > 0 else stop.is_set():
        raise StoppedError
