"""Rates and waits, on a clock of the test's own."""

from __future__ import annotations

import threading
from email.utils import formatdate

import pytest

from rv_edit.benchmark.building.pacing import Backoff, Gate, Pacer, retry_after, wait
from rv_edit.benchmark.building.requests import StoppedError


def test_a_pacer_spends_no_more_than_its_rate() -> None:
    clock = [100.0]
    pacer = Pacer(30, now=lambda: clock[0])
    starts = [clock[0] + pacer.delay() for _ in range(5)]
    assert starts == [100.0, 102.0, 104.0, 106.0, 108.0]
    clock[0] = 200.0  # what was not spent is not saved up
    assert [pacer.delay(cost=2), pacer.delay()] == [0.0, 4.0]
    assert Pacer(None).delay(1e9) == 0.0


def test_a_gate_is_put_off_and_never_brought_forward() -> None:
    clock = [0.0]
    gate = Gate(now=lambda: clock[0])
    assert gate.delay() == 0.0
    gate.close_for(10)
    gate.close_for(3)
    clock[0] = 4.0
    assert gate.delay() == 6.0
    clock[0] = 11.0
    assert gate.delay() == 0.0


def test_back_off_doubles_up_to_a_limit() -> None:
    backoff = Backoff(0.5, 10.0)
    assert [backoff.delay(turn, lambda: 1.0) for turn in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert backoff.delay(3, lambda: 0.0) == 2.0
    assert backoff.delay(10_000, lambda: 1.0) == 10.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
        ({"retry-after": formatdate(1_000_030, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(999_000, usegmt=True)}, 0.0),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 25 Nov 99999999999999999999 01:00:00 GMT"}, None),
    ],
)
def test_what_a_reply_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=lambda: 1_000_000.0) == seconds


def test_a_stop_ends_a_wait() -> None:
    stop = threading.Event()
    wait(0.0, stop)
    stop.set()
    for seconds in (0.0, 60.0):
        with pytest.raises(StoppedError):
            wait(seconds, stop)
