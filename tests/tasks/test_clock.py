"""Seconds add up by part; the peak is that of the part that was watched, not of what came before."""

from __future__ import annotations

import sys

import pytest

from rv_edit.tasks import clock as module
from rv_edit.tasks.clock import Clock


def test_seconds_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([1.0, 1.5, 10.0, 12.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(ticks))
    clock = Clock()
    for _ in range(2):
        with clock("editing"):
            pass
    assert clock.seconds == {"editing": 2.5} and clock.peak_mb is None


@pytest.mark.skipif(not module.RESET.exists(), reason="the system does not forget a process's peak")
def test_the_peak_is_that_of_the_watched_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # whatever accelerator there is
    large, small = Clock(), Clock()
    with large("editing", watched=True):
        held = bytearray(b"x" * (96 << 20))
        del held
    with small("editing", watched=True):
        pass
    assert large.peak_mb is not None and small.peak_mb is not None
    assert large.peak_mb - small.peak_mb > 64


def test_a_system_that_tells_nothing_of_parts_tells_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(module, "STATUS", tmp_path / "none")
    monkeypatch.setattr(module, "RESET", tmp_path / "none/either")
    clock = Clock()
    with clock("editing", watched=True):
        pass
    assert clock.peak_mb is not None and 1 < clock.peak_mb < 1 << 20
