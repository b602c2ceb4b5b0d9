"""Sprites from disk are those that would be drawn; a cache that cannot be used changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rv_edit.pocket import sprite_cache, sprites

LOOK = ("kite", "red", "dotted", "small", False, 1.0)


def fresh(monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[sprites.Sprite, ...]:
    monkeypatch.setenv("RV_EDIT_CACHE", str(folder))
    return sprites.sprites.__wrapped__(*LOOK)


def test_read_equals_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, read = fresh(monkeypatch, tmp_path), fresh(monkeypatch, tmp_path)
    assert len(list(tmp_path.rglob("*.npz"))) == 1 and len(drawn) == len(read)
    for one, two in zip(drawn, read, strict=True):
        assert np.array_equal(np.asarray(one.image), np.asarray(two.image))
        assert np.array_equal(np.asarray(one.shadow), np.asarray(two.shadow)) and one.box == two.box


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x93NUMPY"])
def test_a_damaged_file_is_drawn_again(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = fresh(monkeypatch, tmp_path)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(content)
    again = fresh(monkeypatch, tmp_path)
    assert np.array_equal(np.asarray(drawn[0].image), np.asarray(again[0].image))
    assert sprite_cache.recall(("kite", "red", "dotted", "small", "open")) is not None  # and mended


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert len(fresh(monkeypatch, tmp_path / "file")) == len(sprites.TILTS)
    assert not list(tmp_path.rglob("*.npz"))
