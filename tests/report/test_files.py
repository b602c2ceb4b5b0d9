"""A full disk half-way, a folder that cannot be written: one line, and what was there before stays."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from rv_edit.report import ReportError, RunResult, write_run
from rv_edit.report.files import write_together


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the system refuse to write beyond ``size`` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_refused_half_way(run: RunResult, tmp_path: Path) -> None:
    paths = write_run(tmp_path, run)
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    for path in paths.values():
        path.write_text("from an earlier run")
    earlier = everything(tmp_path)
    middle = (sizes["answers"] + sizes["gallery"]) // 2  # the answers fit, the page does not
    assert sizes["answers"] < middle < sizes["gallery"]
    with largest_file(middle), pytest.raises(ReportError) as refused:
        write_run(tmp_path, run)
    message = str(refused.value)
    assert "\n" not in message
    assert "gallery.html: cannot be written (" in message
    assert everything(tmp_path) == earlier, "nothing replaced, no temporary file left"


def test_disk_full(tmp_path: Path) -> None:
    def full(stream: TextIO) -> None:
        stream.write("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_text("old a")
    with pytest.raises(
        ReportError, match=r"b: cannot be written \(No space left on device\); earlier files are as they were"
    ):
        write_together({tmp_path / "a": lambda stream: None, tmp_path / "b": full})
    assert everything(tmp_path) == {"a": b"old a"}


def test_a_fault_of_the_program_leaves_no_temporary_file(tmp_path: Path) -> None:
    def broken(stream: TextIO) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        write_together({tmp_path / "a": broken})
    assert not everything(tmp_path)


def test_folder_that_cannot_be(tmp_path: Path, run: RunResult) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReportError, match="cannot be written"):
        write_run(tmp_path / "file" / "run", run)


def test_text_that_utf8_cannot_hold(tmp_path: Path) -> None:
    write_together({tmp_path / "a": lambda stream: stream.write("x\ud800y") and None})
    assert (tmp_path / "a").read_bytes() == rb"x\ud800y"
