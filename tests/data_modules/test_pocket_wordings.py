"""Rewordings of the embedded questions."""

from __future__ import annotations

from random import Random

import pytest

from data_modules.pocket_wordings import reword
from data_modules.qa_record import QARecord
from data_modules.records import ImageRef, RecordError
from rv_edit.pocket.questions import PocketQuestion, make_question
from rv_edit.pocket.tables import RELATIONS

PICTURE = ImageRef.from_bytes(b"")


def as_record(made: PocketQuestion, index: int) -> QARecord:
    extras = {"pocket": made.to_json()}
    return QARecord(f"q{index}", PICTURE, made.text, made.choices, made.answer, made.sentences, extras)


@pytest.mark.parametrize("name", ["aokvqa", "fvqa"])
def test_other_words_by_seed_and_none_that_are_held_out(name: str) -> None:
    made = [make_question(name, "test", index) for index in range(25)]
    checked = 0
    for index, question in enumerate(made):
        record = as_record(question, index)
        found = [reword(record, seed) for seed in range(30)]
        assert found == [reword(record, seed) for seed in range(30)]
        assert len(set(found)) > 1
        assert set(found) <= {question.query.render(Random(seed)) for seed in range(30)}
        if question.query.about == "value":
            openings = {template.split("{")[0] for template in RELATIONS[question.relation].held}
            allowed = {template.split("{")[0] for template in RELATIONS[question.relation].ask}
            only_held = {opening for opening in openings - allowed if opening}
            checked += len(only_held)
            assert not [text for text in found if any(text.startswith(opening) for opening in only_held)]
    assert checked > 0


def test_records_from_elsewhere_are_refused() -> None:
    with pytest.raises(RecordError, match="dataset.rewording=null"):
        reword(QARecord("q", PICTURE, "Why?", ("a", "b"), "a"), 0)
