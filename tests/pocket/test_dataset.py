"""Pocket data sets are written in the real schemas, read by the real readers, and come with all suites."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from data_modules.bundle import DataBundle
from data_modules.records import RecordError
from data_modules.suites import SuiteReport, build_suites
from rv_edit.pocket.compose import true_answer
from rv_edit.pocket.dataset import load
from rv_edit.pocket.questions import make_question, restored

NUMBER = 24
REAL_AOKVQA = {
    "split", "image_id", "question_id", "question", "choices", "correct_choice_idx", "direct_answers",
    "difficult_direct_answer", "rationales",
}  # fmt: skip
REAL_FVQA = {
    "fact_surface", "ans_source", "answer", "question", "img_file", "visual_concept", "kb_source", "fact",
    "question_id",
}  # fmt: skip


@pytest.fixture(scope="module", params=["aokvqa", "fvqa"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DataBundle:
    return load(request.param, tmp_path_factory.mktemp(request.param) / "data", questions=NUMBER)


def test_every_record_is_read_back_as_it_was_made(bundle: DataBundle) -> None:
    assert bundle.report is not None
    assert len(bundle.records) == NUMBER and not bundle.report.skipped
    for index, record in enumerate(bundle.records):
        made = make_question(bundle.name.removeprefix("pocket_"), "test", index)
        assert (record.question, record.choices, record.answer) == (made.text, made.choices, made.answer)
        assert len(record.reasoning) == len(made.sentences)
        back = restored(record.extras["pocket"], record.question, record.choices, record.answer, record.reasoning)
        assert (back.scene, back.query, back.thing) == (made.scene, made.query, made.thing)
        assert back.reasoning == made.reasoning
        assert true_answer(back.query, back.scene) == record.answer


def test_it_goes_by_its_own_name(bundle: DataBundle) -> None:
    assert bundle.report is not None
    assert bundle.report.summary().startswith(f"{bundle.name} test: {NUMBER} records kept, 0 skipped")


def test_it_is_drawn_once_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        with caplog.at_level(logging.INFO):
            load("aokvqa", tmp_path / "data", questions=2)
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if "drawing" in line] == [
        f"drawing 2 pictures, once: they are kept in {tmp_path / 'data'}"
    ]


def test_suites_pass_their_checks_and_are_complete(bundle: DataBundle) -> None:
    records = {record.id: record for record in bundle.records}
    edits = [record.as_edit() for record in bundle.records]
    report = SuiteReport()
    suites = build_suites(bundle.provider, edits, records, lambda some: [(0, 1)] * len(some), report=report)
    assert {why for _, why in report.dropped} <= {"could not be made"} and sum(report.dropped.values()) < NUMBER / 2
    assert len(suites["t_gen"]) >= 8 * NUMBER and len(suites["i_gen"]) == 4 * NUMBER
    assert len(suites["coe_gen"]) >= 2 * NUMBER and len(suites["r_gen"]) >= 2 * NUMBER
    assert len(suites["contrast"]) >= (NUMBER if "aokvqa" in bundle.name else 1)
    again = build_suites(bundle.provider, edits, records, lambda some: [(0, 1)] * len(some))
    assert again == suites
    for question in suites["contrast"]:
        assert records[str(question.edit_id)].answer in question.choices


def test_schemas_are_the_real_ones(tmp_path: Path) -> None:
    load("aokvqa", tmp_path / "a", questions=2, split="tune")
    load("fvqa", tmp_path / "f", questions=2)
    row = json.loads((tmp_path / "a" / "aokvqa_v1p0_train.json").read_text())[0]
    assert set(row) - {"pocket"} == REAL_AOKVQA and len(row["direct_answers"]) == 10
    entry = next(iter(json.loads((tmp_path / "f/new_dataset_release/all_qs_dict_release.json").read_text()).values()))
    assert set(entry) - {"pocket", "choices", "visual_link"} == REAL_FVQA
    assert entry["fact_surface"].count("[[") == 2
    assert len(list((tmp_path / "f" / "Name_Lists").iterdir())) == 10


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(RecordError, match="neither empty nor a pocket data set"):
        load("aokvqa", tmp_path, questions=2)
    assert (tmp_path / "thesis.txt").read_text() == "dear"
    load("aokvqa", tmp_path / "new", questions=2)
    with pytest.raises(RecordError, match="choose another"):
        load("aokvqa", tmp_path / "new", questions=3)
    with pytest.raises(RecordError, match="there are aokvqa and fvqa"):
        load("okvqa")
