"""``task=validate_data``: what is printed, written and exported, and how it ends."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from PIL import Image

from data_modules.own_edits import read_own
from data_modules.records import RecordError
from rv_edit.cli import one_line
from rv_edit.errors import ConfigError
from rv_edit.run import run
from tests.realpack import REALPACK, needs_realpack

Composed = Callable[..., DictConfig]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Five edits: two good ones on one picture, one without a picture, one on a damaged picture, one double."""
    folder = tmp_path / "mine"
    folder.mkdir()
    Image.new("RGB", (12, 10), "red").save(folder / "a.png")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8 cut")
    edit = {"question": "What is it?", "choices": ["cat", "dog"], "answer": "dog", "reasoning": ["It barks."]}
    rows = [
        {"id": "1", "image": "a.png"} | edit,
        {"id": "2", "image": "a.png", "evidence": {"0": [[1, 1, 5, 5]]}} | edit,
        {"id": "3", "image": "none.png"} | edit,
        {"id": "4", "image": "cut.jpg"} | edit,
        {"id": "1", "image": "a.png"} | edit,
    ]
    (folder / "edits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def validate(composed: Composed, root: Path, *options: str, dataset: str = "own") -> Any:
    """The task on a data set; the options of the tiny one of these tests are taken back."""
    target = {"own": "data_modules.own_edits.load_own"}.get(dataset, f"data_modules.sources.load_{dataset}")
    fixed = ["task=validate_data", f"dataset={dataset}", f"dataset.source._target_={target}", f"dataset.root={root}"]
    return run(composed(*fixed, *options))


def test_what_is_said_and_written(composed: Composed, own: Path, tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level(logging.INFO):
        found = validate(composed, own)
    assert found == json.loads((tmp_path / "out" / "data.json").read_text())
    assert (found["listed"], found["kept"], found["whole"]) == (5, 2, None)
    assert [skipped["record"] for skipped in found["skipped"]] == ["3", "1", "4"]
    assert found["measures"] == {
        "records": 2, "pictures": 1, "pixels": [120, 120, 120], "choices": {"2": 2}, "facts": {"1": 2},
        "asked_of_several_pictures": 2, "with_evidence": 1,
    }  # fmt: skip
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == f"edits of {own}: 2 records kept, 3 skipped, 1 with evidence"
    assert f"  skipped 3: picture {own}/none.png is missing" in said
    assert "  1 x picture … is missing" in said
    assert any(line.startswith("2 usable records on 1 different pictures") for line in said)
    assert said[-1] == f"all of it: {tmp_path / 'out' / 'data.json'}"


def test_strict_ends_in_one_line(composed: Composed, own: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 records cannot be used; see .*data.json") as caught:
        validate(composed, own, "task.strict=true")
    assert one_line(caught.value) and (tmp_path / "out" / "data.json").is_file()
    (own / "edits.jsonl").write_text((own / "edits.jsonl").read_text().splitlines()[0])
    assert validate(composed, own, "task.strict=true")["kept"] == 1


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_export(composed: Composed, own: Path, tmp_path: Path, kind: str) -> None:
    validate(composed, own, f"task.export={tmp_path / 'new'}", f"task.format={kind}")
    again = read_own(tmp_path / "new", check_images=True)
    assert [record.id for record in again] == ["1", "2"]
    assert again[1].evidence == {0: ((1.0, 1.0, 5.0, 5.0),)}
    assert validate(composed, tmp_path / "new", "task.strict=true")["kept"] == 2
    with pytest.raises(RecordError, match="holds something already"):
        validate(composed, own, f"task.export={tmp_path / 'new'}")


@pytest.mark.parametrize(
    ("option", "said"),
    [("task.listed=-1", "task.listed"), ("task.strict=maybe", "true or false"), ("task.format=xls", "jsonl, csv")],
)
def test_bad_options(composed: Composed, own: Path, option: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validate(composed, own, option)


def test_any_data_set_can_be_validated(composed: Composed, caplog: Any) -> None:
    with caplog.at_level(logging.INFO):
        found = run(composed("task=validate_data"))
    assert found["kept"] == 40 and "suites: made by Provider" in caplog.text


@needs_realpack
def test_the_real_photos(composed: Composed, caplog: Any) -> None:
    with caplog.at_level(logging.INFO):
        aokvqa = validate(composed, REALPACK, "dataset.split=val", dataset="aokvqa")
        fvqa = validate(composed, REALPACK, dataset="fvqa")
    assert (aokvqa["kept"], fvqa["kept"]) == (39, 26)
    assert not aokvqa["skipped"] and not fvqa["skipped"]
    assert (aokvqa["measures"]["pictures"], fvqa["measures"]["pictures"]) == (37, 14)
    assert "39 questions on 37 pictures, but 1,145 on 1,122 were published" in caplog.text
    assert "26 questions on 14 pictures, but 5,826 on 2,190 were published" in caplog.text
    assert fvqa["rules"]["derived_choices"] == 26
    with pytest.raises(ConfigError, match="it is not whole"):
        validate(composed, REALPACK, "task.strict=true", dataset="fvqa")
