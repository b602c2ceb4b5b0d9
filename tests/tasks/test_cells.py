"""A cell's name says what its figures depend on: nothing less, and nothing of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rv_edit.errors import ConfigError
from rv_edit.tasks.cells import Cell, stamp_of


def cell(*options: str, editor: str = "ft", edits: int = 5) -> Cell:
    return Cell.of(editor, "pocket_llava", "pocket_aokvqa", edits, options)


def test_what_figures_depend_on_makes_another_cell() -> None:
    base = cell()
    others = [
        cell("editor.training.lr=0.5"),
        cell("dataset.loc_random=3"),
        cell("seed=1"),
        cell("scoring.normalize=mean"),
        cell("model.vlm.dtype=bfloat16"),
        cell(edits=6),
        cell(editor="lora"),
    ]
    assert len({one.key for one in (base, *others)}) == len(others) + 1
    assert cell().key == base.key and base.folder(Path("x")) == Path("x/pocket_llava/pocket_aokvqa/ft", base.key)


def test_where_and_how_it_is_watched_does_not_count(tmp_path: Path) -> None:
    same = ("trainer=cpu", "logger=none", "callbacks=none", f"cache={tmp_path}")
    assert cell(*same).key == cell().key
    assert cell(*same, editor="mend").key == cell(editor="mend").key  # which names the cache in its own options


def test_the_files_of_the_model_count(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"one")
    before = cell(f"model.vlm.name={folder}")
    assert cell(f"model.vlm.name={folder}").key == before.key
    (folder / "model.safetensors").write_bytes(b"two")
    stamp_of.cache_clear()
    assert cell(f"model.vlm.name={folder}").key != before.key
    assert stamp_of("some/hub-id") is None and stamp_of("word") is None
    assert stamp_of("package://rv_edit.pocket/weights/llava/key_space.json")


def test_large_files_are_told_by_their_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rv_edit.tasks.cells.WHOLE", 64)
    stamps = set()
    for content in (b"a" * 200, b"b" + b"a" * 199, b"a" * 199 + b"b", b"a" * 201):
        (tmp_path / "file").write_bytes(content)
        stamp_of.cache_clear()
        stamps.add(stamp_of(str(tmp_path / "file")))
    assert len(stamps) == 4


def test_options_that_do_not_fit_are_one_line() -> None:
    with pytest.raises(ConfigError, match="training") as caught:
        cell("editor.training.lr=1.0", editor="ike")
    assert "\n" not in str(caught.value)


def test_results_that_are_cut_off_are_none(tmp_path: Path) -> None:
    one = cell()
    place = one.folder(tmp_path)
    assert one.results(tmp_path) is None
    place.mkdir(parents=True)
    (place / "results.json").write_text('{"edits": 5', encoding="utf-8")
    assert one.results(tmp_path) is None
    (place / "results.json").write_text(json.dumps({"edits": 5}), encoding="utf-8")
    assert one.results(tmp_path) == {"edits": 5}
