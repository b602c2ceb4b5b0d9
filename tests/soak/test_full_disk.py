"""A disk that is full half-way: one line, and what was there before is intact."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.soak

Command = Callable[..., Any]
OLD = {"results.json": '{"old": 1}\n', "answers.jsonl": "old\n", "gallery.html": "old\n"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 KB: enough for options, log and codebook, too little for a page of pictures."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("callbacks", ["none", "default"])
def test_output_folder(command: Command, small_disk: Path, callbacks: str) -> None:
    folder = small_disk / "run"
    folder.mkdir()
    for name, text in OLD.items():
        (folder / name).write_text(text)
    every = ["callbacks.checkpoint.every_n_edits=1"] if callbacks == "default" else []
    fill = small_disk / "fill"
    fill.write_bytes(b"x" * 60_000)
    done = command(f"hydra.run.dir={folder}", f"callbacks={callbacks}", *every)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2 and len(errors) == 1, done.stderr
    assert "No space left" in errors[0] and "Traceback" not in done.stderr
    assert {name: (folder / name).read_text() for name in OLD} == OLD
    assert not [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".new"))]


def test_cache_folder(command: Command, small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "fill").write_bytes(b"x" * 155_000)
    done = command(f"hydra.run.dir={tmp_path / 'run'}", f"cache={small_disk / 'cache'}")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("going on without it") >= 1
    assert (tmp_path / "run/results.json").is_file()
