"""Results kept in one file: gone on from without the folders they came from, and never taken for another cell's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rv_edit.errors import ConfigError
from rv_edit.tasks.cells import Cell
from rv_edit.tasks.keeping import Kept
from rv_edit.tasks.running import Runner
from tests.tasks.test_running import calls, cell, make

__all__ = ["make"]


def lines(path: Path) -> list[str]:
    return [json.loads(line)["key"] for line in path.read_text().splitlines()]


def test_another_machine_goes_on_from_the_file(make: Callable[..., Runner], tmp_path: Path) -> None:
    path = tmp_path / "new" / "kept.jsonl"
    outcome = make(kept=Kept(path))(cell("fine"))
    assert outcome is not None and lines(path) == ["key"]
    elsewhere = Runner(tmp_path / "nowhere", command=["false"], kept=Kept(path))
    assert elsewhere.known(cell("fine")).results == outcome.results
    again = elsewhere(cell("fine"))
    assert again is not None and again.results == outcome.results and len(calls(tmp_path)) == 1
    other = elsewhere(cell("fine", "other"))
    assert other is not None and other.results is None, "another key is another cell"


def test_what_was_run_without_the_file_goes_into_it(make: Callable[..., Runner], tmp_path: Path) -> None:
    make()(cell("fine"))
    path = tmp_path / "kept.jsonl"
    assert make(kept=Kept(path)).known(cell("fine")).results is not None and lines(path) == ["key"]


def test_two_commands_lose_none_of_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    one, other = Kept(path), Kept(path)
    cells = [Cell(editor, "m", "d", 3, (), editor) for editor in "abcd"]
    for place, item in enumerate(cells):
        (one, other)[place % 2].put(item, {"edits": place})
    assert lines(path) == ["a", "b", "c", "d"]
    assert Kept(path).get(cells[2]) == {"edits": 2}
    other.put(cells[2], {"edits": 9})
    assert lines(path) == ["a", "b", "c", "d"] and Kept(path).get(cells[2]) == {"edits": 9}


@pytest.mark.parametrize(
    "line", ["{", "[]", "7", '{"key": "a"}', '{"model": 1, "dataset": "", "editor": "", "key": ""}']
)
def test_a_line_that_is_no_cell_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "kept.jsonl"
    Kept(path).put(cell("fine"), {})
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ConfigError, match=r"kept\.jsonl, line 2: no results of a cell; take the line out"):
        Kept(path)


def test_a_file_that_cannot_be_written_is_a_reason(make: Callable[..., Runner], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = make(kept=Kept(tmp_path / "file" / "kept.jsonl"))(cell("fine"))
    assert outcome is not None and outcome.results is None and "file" in str(outcome.reason)
