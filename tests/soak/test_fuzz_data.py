"""Damaged files of the further sources: one's own edits as lines and tables, and the hub's parquet files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from PIL import Image

from data_modules.aokvqa_hub import read_aokvqa_hub
from data_modules.own_csv import write_csv
from data_modules.own_edits import read_own
from data_modules.rationale_vqa import load_rationale_vqa
from data_modules.records import RecordError
from tests.data_modules.hub_files import as_parquet, row
from tests.soak.test_fuzz import NASTY, checked, damaged, json_bytes, refused, turns

pytestmark = pytest.mark.soak

EDITS: list[dict[str, Any]] = [
    {
        "id": f"e{place}", "image": "a.png", "question": "What is it?", "choices": ["cat", "dog"], "answer": "dog",
        "reasoning": ["It barks.", "Dogs bark."], "evidence": {"1": [[0, 0, 3, 3]]},
    }
    for place in range(4)
]  # fmt: skip


def test_own_edits(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    for draw in turns(11):
        lines = [json_bytes(edit, draw) if draw.random() < 0.5 else json_bytes(edit, draw)[:-1] for edit in EDITS]
        (tmp_path / "edits.jsonl").write_bytes(b"\n".join(lines))
        refused(lambda: checked(read_own(tmp_path, check_images=True)), RecordError)


def test_own_tables(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    whole = write_csv(EDITS).encode()
    for draw in turns(12):
        data = damaged(whole, draw)
        if draw.random() < 0.3:
            data = data.replace(b"dog", str(draw.choice(NASTY)).encode("utf-8", "replace"))
        (tmp_path / "edits.csv").write_bytes(data)
        refused(lambda: checked(read_own(tmp_path, check_images=True)), RecordError)


def test_parquet_of_the_hub(tmp_path: Path) -> None:
    root = as_parquet(tmp_path / "copy", validation=[row(f"q{place}", place) for place in range(4)])
    files = {path: path.read_bytes() for path in (root / "data").glob("*.parquet")}
    for draw in turns(13):
        path = draw.choice(sorted(files))
        for other, data in files.items():
            other.write_bytes(damaged(data, draw) if other == path else data)
        refused(lambda: checked(read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache")), RecordError)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)


def test_tables_of_rationale_vqa(tmp_path: Path) -> None:
    base = tmp_path / "benchmark"
    (tmp_path / "val2017").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "val2017/1.jpg")
    question = {
        "uid": "1", "image_path": "data/images/aokvqa/val2017/1.jpg", "question": "What?", "answer": "a",
        "rationale": "R.", "choices": "a; b", "idx_choices": "(A) a\n(B) b",
    }  # fmt: skip
    tables: dict[str, list[dict[str, Any]]] = {
        "AOKVQA/train.parquet": [question, question | {"uid": "2"}],
        "r_gen/cot/aokvqa.parquet": [{"uid": "1", "reason": "One. So a."}],
        "t_gen/aokvqa.parquet": [{"uid": "1", "variants": ["Say.", "Tell."]}],
        "r_gen/qa/aokvqa.parquet": [
            {"uid": "1", "sid": "1_1", "question": "Q?", "answers": "a | b", "rationale": "One."}
        ],
    }
    for draw in turns(14):
        for name, rows in tables.items():
            path = base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            changed = [dict(item) for item in rows]
            if draw.random() < 0.5:
                field = draw.choice(sorted(changed[0]))
                value = draw.choice([None, 5, 1.5, True, "", "x" * 3000, "../..", ["a"], [None], "\x00"])
                changed = [item | {field: value} for item in changed]  # one type a column, or parquet holds nothing
            Dataset.from_list(changed).to_parquet(path)
            if draw.random() < 0.2:
                path.write_bytes(damaged(path.read_bytes(), draw))
        refused(lambda: checked(list(load_rationale_vqa(base, tmp_path).records)), RecordError)
