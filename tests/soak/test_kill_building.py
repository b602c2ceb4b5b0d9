"""Builds killed with signal 9, at calls and pictures drawn at random: in the end, the build that nobody killed.

The service counts what it answered. A call whose answer never arrived has to be made again; no other is.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark.building.bad_server import BadServer, Call, Reply, completion, failure, sensible
from tests.run.conftest import ROOT
from tests.run.painting import made

pytestmark = pytest.mark.soak
FILES = ("items.jsonl", "edits.jsonl", "suites.json")
EDITS = 10
PORT = re.compile(r"(?<=127\.0\.0\.1):\d+")
"""Where a service listens, which provenance names and no test can choose."""


@pytest.fixture
def server() -> Iterator[BadServer]:
    with BadServer() as running:
        yield running


class Build:
    """The command, in processes of its own that a behaviour of the service may kill."""

    def __init__(self, overrides: list[str], server: BadServer, folder: Path, concurrency: int) -> None:
        self.folder, self.log = folder, folder.with_name(folder.name + ".painted")
        self.running: subprocess.Popen[str] | None = None
        kept = [item for item in overrides if not item.startswith(("dataset.edits=", "editor."))]
        self.options = [
            *kept, "task=build_suites", "task/text=openai", f"task.text.base_url={server.url}",
            "task.text.key_required=false", "task.text.first_delay=0.01", "task.text.longest_delay=0.05",
            "task.text.timeout=2.0", f"task.text.concurrency={concurrency}", f"dataset.edits={EDITS}",
            f"task.folder={folder}", f"hydra.run.dir={folder.with_name(folder.name + '.run')}",
            "error_chain.threshold=0.0", "task.reserve_mb=0",
        ]  # fmt: skip

    def __call__(self, *more: str, kill_after: int | None = None) -> tuple[int, str]:
        """Run it to its end; returns status and stderr."""
        die = "null" if kill_after is None else str(kill_after)
        paint = f"{{_target_: tests.run.painting.Painter, log: {self.log}, kill_after: {die}}}"
        images = [f"++task.images.{name}={paint}" for name in ("a", "b")]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1", "OPENAI_API_KEY": ""}
        self.running = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), *self.options, *images, *more],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT,
        )  # fmt: skip
        _, said = self.running.communicate(timeout=1800)
        return self.running.returncode, said

    def kill(self) -> None:
        """As a power cut would."""
        assert self.running is not None
        self.running.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def uninterrupted(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "whole"
    with BadServer() as server:
        build = Build(overrides, server, folder, 4)
        status, said = build()
        assert status == 0, said
        assert len(server.calls) == EDITS * 3 and made(build.log) == EDITS * (4 + 1 + 3)
    return folder


def key(call: Call) -> str:
    return call.headers["Idempotency-Key"]


def same(one: Path, two: Path) -> None:
    for name in FILES:
        left, right = (PORT.sub("", (folder / name).read_text()) for folder in (one, two))
        assert left == right, name
    pictures = [{path.name for path in (folder / "images").rglob("*.png")} for folder in (one, two)]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_killed_while_texts_are_written(
    uninterrupted: Path, overrides: list[str], server: BadServer, tmp_path: Path, concurrency: int
) -> None:
    draw = random.Random(concurrency)
    build = Build(overrides, server, tmp_path / "killed", concurrency)
    kills: list[int] = sorted(draw.sample(range(2, EDITS * 3), 3))
    deadly = set(kills)

    def behave(call: Call) -> Reply:
        if call.place in deadly:
            deadly.discard(call.place)
            build.kill()
            return Reply(hang_up=True)
        return sensible(call)

    server.behave = behave
    turns = 0
    while deadly:
        status, said = build()
        turns += 1
        assert status in (-signal.SIGKILL, 0), said
        assert turns <= len(kills) + 1
        if status == 0:
            break
        assert not (build.folder / "items.jsonl").exists()
    status, said = build()
    assert status == 0, said
    same(build.folder, uninterrupted)
    answered = Counter(key(call) for call in server.calls if call.answered)
    twice = [name for name, times in answered.items() if times > 1]
    # With one at a time each answer has arrived before the next call begins. With several, those on their way when the
    # process dies cannot be known to it; they are asked for again under the same key.
    assert len(twice) <= (concurrency - 1) * len(kills) and len(answered) == EDITS * 3
    assert max(answered.values()) <= 1 + len(kills)


def test_killed_while_pictures_are_drawn(
    uninterrupted: Path, overrides: list[str], server: BadServer, tmp_path: Path
) -> None:
    build = Build(overrides, server, tmp_path / "killed", 4)
    for after in (1, 24, 55):
        status, said = build(kill_after=after)
        assert status == -signal.SIGKILL, said
    status, said = build()
    assert status == 0, said
    same(build.folder, uninterrupted)
    assert len(server.calls) == EDITS * 3
    painted = Counter(build.log.read_text().splitlines())
    assert len(painted) == EDITS * (4 + 1 + 3) and set(painted.values()) == {1}


def test_a_service_in_every_mood(uninterrupted: Path, overrides: list[str], server: BadServer, tmp_path: Path) -> None:
    draw = random.Random(0)
    moods: list[Callable[[], Reply]] = [
        lambda: failure(429, retry_after="0.05"), lambda: failure(500), lambda: Reply(503, b"<html>"),
        lambda: Reply(hang_up=True), lambda: Reply(body=completion("half").body[:50], missing=90),
        lambda: Reply(delay=3.0),
    ]  # fmt: skip

    def behave(call: Call) -> Reply:
        return draw.choice(moods)() if draw.random() < 0.4 else sensible(call)

    server.behave = behave
    build = Build(overrides, server, tmp_path / "moody", 4)
    status, said = build("task.text.retries=30")
    assert status == 0, said
    same(build.folder, uninterrupted)
    answered = Counter(key(call) for call in server.calls if call.answered)
    assert len(answered) == EDITS * 3 and len(server.calls) > EDITS * 3


def test_a_full_disk(overrides: list[str], server: BadServer, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        build = Build(overrides, server, place / "suites", 4)
        build.log = tmp_path / "painted"
        build.options = [
            f"hydra.run.dir={tmp_path / 'run'}" if item.startswith("hydra.run.dir") else item for item in build.options
        ]
        status, said = build()
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert status == 2 and len(errors) == 1 and "Traceback" not in said, said
        assert "No space left" in errors[0] and "same command" in errors[0]
        assert not (build.folder / "suites.json").exists() and not list(build.folder.rglob("*.tmp"))
        for path in (build.folder / "journal").glob("*.jsonl"):
            for line in path.read_text().splitlines():
                json.loads(line)
        calls, painted = len(server.calls), made(build.log)
        assert calls and painted
        subprocess.run(["mount", "-o", "remount,size=20m", str(place)], check=True)
        status, said = build()
        assert status == 0, said
        answered = Counter(key(call) for call in server.calls if call.answered)
        lost = sum(times - 1 for times in answered.values())
        assert len(answered) == EDITS * 3 and lost <= 4  # those whose answer found no room
        again: Any = Counter(build.log.read_text().splitlines())
        assert len(again) == EDITS * (4 + 1 + 3) and sum(again.values()) - len(again) <= 2
    finally:
        subprocess.run(["umount", str(place)], check=True)
