"""What is paid for is on the disk before anything else happens, and survives whatever tears a file."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from rv_edit.benchmark.building.journal import DiskError, Journal, read_rows
from rv_edit.errors import ConfigError


def fill(folder: Path, names: str = "abc") -> Path:
    with Journal(folder) as journal:
        for name in names:
            journal.put(name, {"text": name * 20})
    return folder / "all.jsonl"


def test_rows_are_found_again(tmp_path: Path) -> None:
    fill(tmp_path)
    with Journal(tmp_path) as journal:
        assert journal.get("b") == {"text": "b" * 20} and journal.get("x") is None
        journal.put("b", {"text": "newer"})
    with Journal(tmp_path) as journal:
        assert journal.get("b") == {"text": "newer"}


def test_every_cut_of_the_last_line_is_tolerated(tmp_path: Path) -> None:
    whole = fill(tmp_path).read_bytes()
    third = whole.rindex(b"\n", 0, -1) + 1
    for end in range(third, len(whole)):
        path = tmp_path / "all.jsonl"
        path.write_bytes(whole[:end])
        with Journal(tmp_path) as journal:
            assert sorted(journal.rows) == ["a", "b"]
            journal.put("d", {"text": "d"})
        assert sorted(read_rows(path)[0]) == ["a", "b", "d"]
        assert path.read_bytes().startswith(whole[:third]) and path.read_bytes().count(b"\n") == 3


def test_damage_elsewhere_is_named(tmp_path: Path) -> None:
    path = fill(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for bad in (b"{nothing\n", b'{"text": "no key"}\n', b"[1]\n", b"\xff\xfe\n"):
        path.write_bytes(lines[0] + bad + lines[2])
        with pytest.raises(ConfigError, match="line 2: damaged") as caught:
            Journal(tmp_path)
        assert "\n" not in str(caught.value) and path.read_bytes() == lines[0] + bad + lines[2]


def test_parts_read_each_other(tmp_path: Path) -> None:
    with Journal(tmp_path, "part-0-of-2") as one, Journal(tmp_path, "part-1-of-2") as two:
        one.put("a", {"n": 1})
        two.put("b", {"n": 2})
    with Journal(tmp_path) as together:
        assert together.rows == {"a": {"n": 1}, "b": {"n": 2}}


def _open(folder: str, answer: Any, name: str = "all") -> None:
    try:
        Journal(Path(folder), name).close()
        answer.put("opened")
    except ConfigError as error:
        answer.put(str(error))


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    with Journal(tmp_path):
        other = context.Process(target=_open, args=(str(tmp_path), answer))
        other.start()
        said = answer.get(timeout=60)
        other.join()
    assert "another process is writing it" in said and "task.shard" in said
    Journal(tmp_path).close()  # the lock went with its owner


@pytest.mark.parametrize(
    ("mine", "other", "refused"),
    [
        ("part-0-of-2", "all", True),
        ("all", "part-0-of-2", True),
        ("part-0-of-2", "part-0-of-4", True),
        ("part-0-of-2", "part-1-of-2", False),
    ],
)
def test_what_overlaps_does_not_run_at_the_same_time(tmp_path: Path, mine: str, other: str, refused: bool) -> None:
    """The whole, or another division, would pay for what a part is about to get."""
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    with Journal(tmp_path, mine) as journal:
        journal.put("a", {"n": 1})
        process = context.Process(target=_open, args=(str(tmp_path), answer, other))
        process.start()
        said = answer.get(timeout=60)
        process.join()
        journal.put("b", {"n": 2})
    assert ("still" in said and f"{mine}.jsonl" in said and "\n" not in said) if refused else said == "opened"
    with Journal(tmp_path, other) as later:  # when that one is through
        assert sorted(later.rows) == ["a", "b"]


def test_a_row_that_cannot_be_written_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(tmp_path)
    before = path.read_bytes()
    sync = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with Journal(tmp_path) as journal:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DiskError, match="No space left on device") as caught:
            journal.put("d", {"text": "d"})
        assert path.read_bytes() == before and journal.get("d") is None
        assert "same command again" in str(caught.value) and "\n" not in str(caught.value)
        monkeypatch.setattr(os, "fsync", sync)
        journal.put("d", {"text": "d"})
    assert path.read_bytes().startswith(before) and json.loads(path.read_bytes().splitlines()[-1])["key"] == "d"


def test_nothing_is_begun_without_room(tmp_path: Path) -> None:
    with Journal(tmp_path, reserve=2**62) as journal, pytest.raises(DiskError, match="reserve_mb"):
        journal.check_room()
    with Journal(tmp_path, reserve=0) as journal:
        journal.check_room()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        Journal(tmp_path / "file")
