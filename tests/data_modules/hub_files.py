"""Copies of the hub's data sets, with exactly their features, written by the hub's own library."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, Image, Value, disable_progress_bars
from PIL import Image as Pictures

disable_progress_bars()
TEXT = Value("string")
AOKVQA = Features(
    {
        "image": Image(),
        "question_id": TEXT,
        "question": TEXT,
        "choices": [TEXT],
        "correct_choice_idx": Value("int8"),
        "direct_answers": TEXT,
        "difficult_direct_answer": Value("bool"),
        "rationales": [TEXT],
    }
)
Row = dict[str, Any]


def jpeg(number: int) -> bytes:
    stream = io.BytesIO()
    Pictures.new("RGB", (8, 6), (number % 256, number * 7 % 256, 99)).save(stream, "JPEG")
    return stream.getvalue()


def row(name: str, picture: int = 1, **changes: Any) -> Row:
    return {
        "image": {"bytes": jpeg(picture), "path": None},
        "question_id": name,
        "question": "What is it?",
        "choices": ["cat", "dog", "cow", "hen"],
        "correct_choice_idx": 2,
        "direct_answers": "['cow', 'the \"cow\"', \"cow's\"]",
        "difficult_direct_answer": False,
        "rationales": ["It moos.", "It has horns.", "It moos."],
    } | changes


def unanswered(name: str, picture: int = 1) -> Row:
    """As the test split is: nothing but the question."""
    return row(name, picture, correct_choice_idx=None, direct_answers=None, rationales=None)


def table(rows: list[Row], features: Features | None = None) -> Dataset:
    return Dataset.from_list(rows, features=AOKVQA if features is None else features)


def as_parquet(folder: Path, **splits: list[Row]) -> Path:
    """The hub's own layout: ``data/{split}-00000-of-0000n-….parquet``, two shards where there are two rows or more."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        halves = [rows[: len(rows) // 2], rows[len(rows) // 2 :]] if len(rows) > 1 else [rows]
        for place, part in enumerate(halves):
            name = f"{split}-{place:05}-of-{len(halves):05}-c1aac5d2e3b0f1a7.parquet"
            table(part).to_parquet(folder / "data" / name)
    return folder


def as_arrow(folder: Path, **splits: list[Row]) -> Path:
    """What ``save_to_disk`` writes."""
    DatasetDict({split: table(rows) for split, rows in splits.items()}).save_to_disk(folder)
    return folder
