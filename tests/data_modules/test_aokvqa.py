"""The A-OKVQA reader: the original layout, and records that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_modules.aokvqa import read_aokvqa
from data_modules.qa_record import ReadReport
from data_modules.records import RecordError
from tests.realpack import REALPACK, needs_realpack


def row(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "split": "val", "image_id": 1, "question_id": name, "question": "What is it?",
        "choices": ["cat", "dog", "cow", "hen"], "correct_choice_idx": 2, "direct_answers": ["cow"] * 10,
        "difficult_direct_answer": False, "rationales": ["It moos.", "It has horns.", "It moos."],
    } | changes  # fmt: skip


def test_a_record_field_by_field(aokvqa: Callable[..., Path]) -> None:
    report = ReadReport()
    (record,) = read_aokvqa(aokvqa([row("q1", image_id=2)]), "val", report=report)
    assert (record.id, record.question, record.choices) == ("q1", "What is it?", ("cat", "dog", "cow", "hen"))
    assert (record.answer, record.target, record.reasoning) == ("cow", 2, ("It moos.", "It has horns."))
    assert record.extras["image_id"] == 2
    assert record.extras["direct_answers"] == ["cow"] * 10
    assert record.image.path is not None
    assert record.image.path.endswith("coco/val2017/000000000002.jpg")
    assert record.image.open().size == (8, 6)
    assert (report.kept, report.skipped, report.counts["duplicate_reasoning"]) == (1, [], 1)
    edit, question = record.as_edit(), record.as_question("contrast", "e")
    assert (edit.target, edit.reasoning) == (2, record.reasoning)
    assert (question.suite, question.edit_id, question.target) == ("contrast", "e", 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"choices": ["cow", "Cow ", "COW"], "correct_choice_idx": 0}, "1 distinct choice"),
        ({"choices": []}, "not among the choices"),
        ({"correct_choice_idx": 4}, "not among the choices"),
        ({"correct_choice_idx": None}, "not among the choices"),
        ({"correct_choice_idx": True}, "not among the choices"),
        ({"choices": ["cat", "  ", "dog"], "correct_choice_idx": 1}, "not among the choices"),
        ({"choices": "cat"}, "not among the choices"),
        ({"choices": [1, 2]}, "not a list of texts"),
        ({"question_id": "good"}, "duplicate id"),
        ({"question_id": ""}, "no question id"),
        ({"image_id": 77}, "is missing"),
        ({"image_id": "../../etc"}, "COCO image number"),
        ({"question": " "}, "'question'"),
        ({"question": "\x00\x07"}, "'question'"),
        ({"question_id": "q\ud83d"}, "broken Unicode"),
        ({"image_id": 10**400}, "cannot be read"),
        ({"rationales": {"a": 1}}, "'rationales'"),
    ],
)
def test_bad_records_are_skipped_and_listed(aokvqa: Callable[..., Path], changes: dict[str, Any], said: str) -> None:
    report = ReadReport()
    records = read_aokvqa(aokvqa([row("good"), row("bad", **changes), row("last")]), report=report)
    assert [record.id for record in records] == ["good", "last"]
    ((name, reason),) = report.skipped
    assert said in reason
    assert "\n" not in reason
    assert name == changes.get("question_id", "bad") or name == "(no id)"
    assert "2 records kept, 1 skipped" in report.lines()[0]
    assert any(said in line for line in report.lines()[1:])


def test_not_an_object_and_a_damaged_picture(aokvqa: Callable[..., Path]) -> None:
    root = aokvqa([row("good", image_id=3), "text", row("cut", image_id=4)])
    (root / "coco/val2017/000000000004.jpg").write_bytes(b"\xff\xd8 cut")
    report = ReadReport()
    assert [record.id for record in read_aokvqa(root, report=report, check_images=True)] == ["good"]
    assert [name for name, _ in report.skipped] == ["(no id)", "cut"]
    assert len(read_aokvqa(root)) == 2  # unchecked, it is found when the picture is first opened


def test_duplicate_choices_long_reasoning_and_odd_characters(aokvqa: Callable[..., Path]) -> None:
    odd = row(
        "odd\u0007", choices=["none", "six", "None", "\U0001f600 yes\x00"], correct_choice_idx=2,
        rationales=["x" * 10_000, "tab\there \U0001f680"], question="What\nis \ud83d this?",
    )  # fmt: skip
    report = ReadReport()
    (record,) = read_aokvqa(aokvqa([odd]), report=report)
    assert record.choices == ("none", "six", "\U0001f600 yes")
    assert record.answer == "none"
    assert record.reasoning == ("x" * 10_000, "tab here \U0001f680")
    assert record.question == "What is \ufffd this?"
    assert report.counts["merged_choices"] == 1
    assert "1 merged choices" in report.summary()
    assert "duplicate" not in report.summary()


def test_splits_are_joined_and_keep_their_pictures(aokvqa: Callable[..., Path]) -> None:
    aokvqa([row("t", image_id=5)], "train", "aokvqa")
    root = aokvqa([row("v", image_id=5)], "val", "aokvqa")
    records = read_aokvqa(root, "train+val")
    assert [record.id for record in records] == ["t", "v"]
    assert [Path(str(record.image.path)).parent.name for record in records] == ["train2017", "val2017"]
    assert [record.id for record in read_aokvqa(root / "aokvqa", "val")] == ["v"]


def test_nothing_usable_or_no_such_thing(aokvqa: Callable[..., Path], tmp_path: Path) -> None:
    test = {key: value for key, value in row("t").items() if key not in ("correct_choice_idx", "rationales")}
    root = aokvqa([test], "test")
    for split, said in [("test", "none of 1 records"), ("validation", "train, val, test"), ("train", "not found")]:
        with pytest.raises(RecordError, match=said) as caught:
            read_aokvqa(root, split)
        assert "\n" not in str(caught.value)
    (root / "aokvqa_v1p0_test.json").write_text('[{"cut": ')
    with pytest.raises(RecordError, match="not valid JSON"):
        read_aokvqa(root, "test")
    (root / "aokvqa_v1p0_test.json").write_text("[]")
    with pytest.raises(RecordError, match="A-OKVQA test: there is no record in it"):
        read_aokvqa(root, "test")
    (root / "aokvqa_v1p0_test.json").write_text("{}")
    with pytest.raises(RecordError, match="a JSON list"):
        read_aokvqa(root, "test")


@needs_realpack
def test_real_records() -> None:
    report = ReadReport()
    records = read_aokvqa(REALPACK, "val", report=report, check_images=True)
    rows = {row["question_id"]: row for row in json.loads((REALPACK / "aokvqa/aokvqa_v1p0_val.json").read_text())}
    assert len(records) == len(rows) == 39
    assert not report.skipped
    assert len({record.image.sha for record in records}) == 37
    for record in records:
        raw = rows[record.id]
        assert record.answer == raw["choices"][raw["correct_choice_idx"]]
        assert set(record.reasoning) == {" ".join(text.split()) for text in raw["rationales"]}
