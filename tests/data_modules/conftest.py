"""A small A-OKVQA and a small FVQA on disk, written in the layouts of the releases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Row = dict[str, Any]


def picture(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (colour % 256, colour * 7 % 256, 99)).save(path)


@pytest.fixture
def aokvqa(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as a split; pictures 1 … 9 exist, as .jpg the even and as .png the odd ones."""

    def write(rows: list[Any], split: str = "val", folder: str = "") -> Path:
        for number in range(1, 10):
            kind = "png" if number % 2 else "jpg"
            picture(tmp_path / "coco" / f"{split}2017" / f"{number:012}.{kind}", number)
        target = tmp_path / folder
        target.mkdir(exist_ok=True)
        (target / f"aokvqa_v1p0_{split}.json").write_text(json.dumps(rows))
        return tmp_path

    return write


@pytest.fixture
def fvqa(tmp_path: Path) -> Callable[..., Path]:
    """Write questions as the release's dict (or text as it is); pictures a.jpg … f.JPEG exist."""

    def write(table: dict[str, Any] | str) -> Path:
        release = tmp_path / "new_dataset_release"
        for number, name in enumerate(["a.jpg", "b.jpg", "c.png", "d.jpg", "e.jpg", "f.JPEG"]):
            picture(release / "images" / name, number)
        text = table if isinstance(table, str) else json.dumps(table)
        (release / "all_qs_dict_release.json").write_text(text)
        lists = tmp_path / "Name_Lists"
        lists.mkdir(exist_ok=True)
        (lists / "train_list_0.txt").write_text("a.jpg\nb.jpg\n")
        (lists / "test_list_0.txt").write_text("c.png\n\n")
        return tmp_path

    return write
