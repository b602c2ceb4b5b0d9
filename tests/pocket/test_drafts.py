"""A folder written under another name: whole or not at all, and nothing of killed writers stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rv_edit.pocket.dataset import load
from rv_edit.pocket.drafts import FRESH, draft_of, sweep

WRITER = """
import sys, time
from pathlib import Path
from rv_edit.pocket.drafts import draft_of
with draft_of(Path(sys.argv[1])) as draft:
    (draft / "half").write_text("half")
    print(draft, flush=True)
    time.sleep(600)
"""


def test_it_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    with draft_of(folder) as draft:
        (draft / "one").write_text("1")
        assert not folder.exists()
    assert [path.name for path in folder.iterdir()] == ["one"]
    with pytest.raises(KeyboardInterrupt), draft_of(tmp_path / "new" / "other"):
        raise KeyboardInterrupt
    assert list((tmp_path / "new").iterdir()) == [folder]


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "data [1]"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        draft = Path(writer.stdout.readline().strip())
        assert draft.parent == tmp_path and sweep(folder) == [] and (draft / "half").exists()
        assert sweep(tmp_path / "data") == []
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (tmp_path / "data [1].tar").mkdir()  # somebody else's
    assert sweep(tmp_path / "data") == [] and draft.exists()
    assert sweep(folder) == [draft]
    assert [path.name for path in tmp_path.iterdir()] == ["data [1].tar"]


def test_a_draft_that_is_just_being_begun_is_left_alone(tmp_path: Path) -> None:
    begun = tmp_path / ".data.drawing-abc"
    begun.mkdir()
    assert sweep(tmp_path / "data") == []
    old = begun.stat().st_mtime - 2 * FRESH
    os.utime(begun, (old, old))
    assert sweep(tmp_path / "data") == [begun] and not begun.exists()


def test_a_data_set_that_is_there_sweeps_too(tmp_path: Path) -> None:
    load("aokvqa", tmp_path / "data", questions=2)
    left = tmp_path / ".data.drawing-abc"
    left.mkdir()
    (left / ".drawing").write_text("")
    load("aokvqa", tmp_path / "data", questions=2)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
