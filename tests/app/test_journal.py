"""The journal: what was written is there, what was torn is cut off, what was damaged is not passed over."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rv_edit.app.journal import Journal, JournalError, format_line, read_lines
from rv_edit.errors import ConfigError

RECORDS = [
    {"kind": "begin"},
    {"kind": "edit", "text": "Ünïcode \u2028 \ud800 and\nlines"},
    {"kind": "undo", "x": [1.5]},
]


def written(path: Path, records: list[dict] = RECORDS) -> bytes:
    journal = Journal(path)
    for record in records:
        journal.append(record)
    journal.close()
    return path.read_bytes()


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    data = written(tmp_path / "journal.jsonl")
    assert data.count(b"\n") == 3
    again = Journal(tmp_path / "journal.jsonl")
    assert again.records == [{"n": at, **record} for at, record in enumerate(RECORDS)] and again.torn is None
    again.append({"kind": "more"})
    again.close()
    assert [record["n"] for record in Journal(tmp_path / "journal.jsonl").records] == [0, 1, 2, 3]
    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o077 == 0


def test_a_torn_last_line_is_cut_off_and_kept_at_every_byte(tmp_path: Path) -> None:
    data = written(tmp_path / "journal.jsonl")
    start = data.rindex(b"\n", 0, -1) + 1
    for cut in range(start, len(data)):
        path = tmp_path / f"cut{cut}.jsonl"
        path.write_bytes(data[:cut])
        journal = Journal(path)
        assert len(journal.records) == 2 and path.stat().st_size == start
        if cut == start:
            assert journal.torn is None
            continue
        assert journal.torn is not None and journal.torn.size == cut - start
        assert journal.torn.kept.read_bytes() == data[start:cut] + b"\n"
        journal.append({"kind": "after"})
        journal.close()
        assert [record["kind"] for record in Journal(path).records] == ["begin", "edit", "after"]


def test_zeros_that_a_file_system_leaves_are_a_torn_line(tmp_path: Path) -> None:
    data = written(tmp_path / "journal.jsonl")
    (tmp_path / "journal.jsonl").write_bytes(data + bytes(4096))
    journal = Journal(tmp_path / "journal.jsonl")
    assert len(journal.records) == 3 and journal.torn is not None and journal.torn.size == 4096


def test_a_lost_line_end_does_not_cost_two_lines() -> None:
    lines = [format_line({"n": at, **record}) for at, record in enumerate(RECORDS)]
    for last in (lines[2], lines[2][:60]):
        with pytest.raises(ConfigError, match="line 2: damaged or missing"):
            read_lines(lines[0] + lines[1][:-1] + b"x" + last, Path("journal.jsonl"))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_damage_before_the_end_stops_the_start(data: st.DataObject) -> None:
    whole = b"".join(format_line({"n": at, **record}) for at, record in enumerate(RECORDS))
    last = whole.rindex(b"\n", 0, -1) + 1
    place = data.draw(st.integers(0, last - 1))
    flipped = bytearray(whole)
    flipped[place] ^= data.draw(st.integers(1, 255))
    assert read_lines(whole, Path("journal.jsonl"))[1] == len(whole)
    with pytest.raises(ConfigError, match="damaged or missing, and no last line") as caught:
        read_lines(bytes(flipped), Path("journal.jsonl"))
    assert "\n" not in str(caught.value)


def test_a_missing_line_stops_the_start() -> None:
    lines = [format_line({"n": at, **record}) for at, record in enumerate(RECORDS)]
    broken = lines[0].replace(b"begin", b"bogin")
    for wrong in ([lines[0], lines[2]], [lines[1]], [lines[0], lines[0]], [broken], [broken, lines[1][:9]]):
        with pytest.raises(ConfigError, match="damaged or missing"):
            read_lines(b"".join(wrong), Path("journal.jsonl"))


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(tmp_path / "journal.jsonl")
    journal = Journal(tmp_path / "journal.jsonl")
    real = os.write

    def half(handle: int, part: memoryview) -> int:
        if len(part) > 40:
            return real(handle, part[:40])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(JournalError, match="No space left on device; nothing was changed"):
        journal.append({"kind": "edit", "text": "x" * 100})
    assert (tmp_path / "journal.jsonl").read_bytes() == data
    monkeypatch.setattr(os, "write", real)
    journal.append({"kind": "later"})
    assert Journal(tmp_path / "journal.jsonl").records[-1] == {"n": 3, "kind": "later"}


def test_after_a_failed_sync_that_cannot_be_undone_nothing_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
    with pytest.raises(JournalError):
        journal.append({"kind": "edit"})
    monkeypatch.setattr(os, "fsync", real)
    with pytest.raises(JournalError, match="takes no more changes"):
        journal.append({"kind": "edit"})
    assert (tmp_path / "journal.jsonl").read_bytes() == b""


def test_a_record_is_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    sizes: list[int] = []
    real = os.fsync

    def noting(handle: int) -> None:
        sizes.append(os.fstat(handle).st_size)
        real(handle)

    monkeypatch.setattr(os, "fsync", noting)
    journal.append({"kind": "edit"})
    assert sizes == [journal.size] and journal.size > 0
