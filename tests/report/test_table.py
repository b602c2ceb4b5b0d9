"""The table: 80 columns, in a pipe, on any terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from rv_edit.report import RunResult, Skipped, print_table
from tests.report.synthetic import HOSTILE


def printed(result: RunResult, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_table(result, Console(file=stream, width=80, highlight=False))
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(encoding)


def test_says_everything_in_80_columns(run: RunResult) -> None:
    lines = printed(run).splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "\x1b" not in text, "no colours in a pipe"
    for name in ("Acc", "Loc", "T-Gen", "I-Gen", "R-Gen", "CoE-Gen", "contrast"):
        assert name in text
    acc = next(line for line in lines if "Acc" in line)
    assert acc.split()[:2] == ["Acc", "0.000"]
    assert acc.split()[4] == "0.750"
    assert acc.split()[-3:] == ["100", "%", "12"]
    assert "per edit: 4.00 keys, 4.0 KB, 0.155 s" in text
    assert "skipped: 2 records: q7: image: truncated (and 1 more, in results.json)" in text
    assert "counted: empty chains 3" in text
    assert "dropped pictures" not in text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_terminal_and_hostile_names(run: RunResult, encoding: str) -> None:
    text = printed(replace(run, skipped=[Skipped(HOSTILE, "[bold]ж[/bold]\r\nsecond line")]), encoding)
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "[bold]" in text, "not read as markup"
    assert "second line" in text


def test_an_editor_that_retrieves_nothing(run: RunResult) -> None:
    after = [(question, replace(answer, accepted=None)) for question, answer in run.after]
    text = printed(replace(run, after=after, receipts=(), codebook={}))
    assert "0 edits" in text
    assert "100 %" not in text
    assert "per edit" not in text


def test_a_suite_that_was_not_asked(run: RunResult) -> None:
    text = printed(replace(run, after=[pair for pair in run.after if pair[0].suite != "r_gen"]))
    assert "not asked" in next(line for line in text.splitlines() if "R-Gen" in line)
