from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rv_edit.embedding import KeySpace
from rv_edit.errors import ConfigError

SPACE = KeySpace(
    layer=2,
    lam=0.5,
    vision_norm=3.25,
    text_norm=1.0,
    model="tiny",
    calibration={"pairs": 8},
    curves={"q_b": [0.1, 0.2]},
)
positive = st.floats(min_value=1e-300, allow_infinity=False, allow_nan=False)


@given(st.integers(0, 99), st.just(0.0) | positive, positive, positive, st.text())
def test_json_keeps_every_digit(
    tmp_path_factory: pytest.TempPathFactory, layer: int, lam: float, vision: float, text: float, name: str
) -> None:
    name = name.encode("utf-8", "replace").decode()
    space = KeySpace(layer=layer, lam=lam, vision_norm=vision, text_norm=text, model=name)
    path = tmp_path_factory.getbasetemp() / "space.json"
    assert KeySpace.load(space.save(path)) == space


def test_save_makes_folders_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = SPACE.save(tmp_path / "a" / "b.json")
    assert os.listdir(path.parent) == ["b.json"]
    assert json.loads(path.read_text())["layer"] == 2
    assert path.stat().st_mode & 0o777 == 0o644


def test_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = SPACE.save(tmp_path / "space.json")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ConfigError, match="No space left"):
        KeySpace(layer=0, lam=1.0, vision_norm=1.0, text_norm=1.0).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["space.json"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"layer": -1}, "layer"),
        ({"layer": 1.5}, "layer"),
        ({"layer": True}, "layer"),
        ({"pooling": "max"}, "pooling"),
        ({"lam": -0.1}, "lam"),
        ({"lam": math.nan}, "lam"),
        ({"vision_norm": 0.0}, "vision_norm"),
        ({"text_norm": math.inf}, "text_norm"),
        ({"text_norm": "1"}, "text_norm"),
    ],
)
def test_values_out_of_range(change: dict[str, Any], word: str) -> None:
    values = {"layer": 1, "lam": 1.0, "vision_norm": 1.0, "text_norm": 1.0}
    with pytest.raises(ConfigError, match=word):
        KeySpace(**{**values, **change})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("[]", "schema"),
        ('{"schema": 99, "layer": 1}', "schema 99"),
        ('{"schema": 1, "layer": 1}', "lam"),
        ('{"schema": 1, "layer": 1, "lam": 1, "vision_norm": 1, "text_norm": 1, "colour": 2}', "colour"),
        ('{"schema": 1, "layer": 1, "lam": 1, "vision_norm": 0, "text_norm": 1}', "vision_norm"),
    ],
)
def test_unusable_files_are_one_line_that_names_them(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "space.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=word) as caught:
        KeySpace.load(path)
    assert "\n" not in str(caught.value)
    assert "space.json" in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        KeySpace.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"schema": 1, "layer": 1, "lam": 1, "text_norm": 1, "vision_norm": 1' + "0" * 400 + "}"]
)
def test_absurd_files_are_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "key_space.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        KeySpace.load(tmp_path / "key_space.json")
    assert "\n" not in str(caught.value)
