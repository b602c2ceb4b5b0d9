"""Real photographs through everything that does not depend on real weights; ``shared/realpack`` has 65 real records."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Sequence

import pytest
import torch

from data_modules.aokvqa import read_aokvqa
from data_modules.fvqa import read_fvqa
from data_modules.qa_record import QARecord, ReadReport
from data_modules.records import Edit, ImageRef
from data_modules.text import answer_key, question_key, words
from rv_edit.benchmark import draw_locality
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.evidence.crops import cut
from rv_edit.evidence.patches import grid_patches
from tests.realpack import FULL_AOKVQA, REALPACK, needs_realpack

pytestmark = needs_realpack
Maker = Callable[..., ReasonEdit]


@pytest.fixture(scope="module")
def records() -> list[QARecord]:
    """All real records with their photos, those of A-OKVQA first."""
    report = ReadReport()
    found = read_aokvqa(REALPACK, "val", check_images=True, report=report)
    found += read_fvqa(REALPACK / "fvqa", check_images=True, report=report)
    assert not report.skipped
    return found


def test_all_65_records_load(records: list[QARecord]) -> None:
    assert len(records) == 39 + 26
    assert len({record.id for record in records}) == 65
    assert all(record.answer in record.choices and record.reasoning for record in records)
    rows = csv.DictReader((REALPACK / "MANIFEST.csv").read_text().splitlines())
    sizes = {row["file"]: (int(row["width"]), int(row["height"])) for row in rows}
    seen = 0
    for record in records:
        name = str(record.image.path).removeprefix(f"{REALPACK}/")
        if name in sizes:
            seen += 1
            assert record.image.open().size == sizes[name]
    assert seen >= 39


def test_choices_are_derived_for_every_open_question(records: list[QARecord]) -> None:
    for record in records[39:]:
        assert len(record.choices) >= 2
        assert len({answer_key(choice) for choice in record.choices}) == len(record.choices)
    again = {record.id: record.choices for record in read_fvqa(REALPACK / "fvqa")}
    assert again == {record.id: record.choices for record in records[39:]}
    others = {record.id: record.choices for record in read_fvqa(REALPACK / "fvqa", choice_seed=1)}
    assert others != again


def test_patches_are_cut_from_every_photo(records: list[QARecord]) -> None:
    photos = {record.image.sha: record.image for record in records}
    assert len(photos) >= 45
    for photo in photos.values():
        image = photo.open()
        patches = grid_patches(*image.size)
        assert len(patches) >= 12
        for patch in patches:
            left, top, right, bottom = patch.box
            assert 0 <= left < right <= image.width and 0 <= top < bottom <= image.height
            assert cut(image, patch.box).size == (right - left, bottom - top)


def test_keys_embed_and_tell_photos_and_words_apart(make_editor: Maker, records: list[QARecord]) -> None:
    embedding = make_editor().embedding
    images = [record.image.open() for record in records]
    keys = embedding.keys(images, [record.question for record in records])
    assert keys.shape == (65, embedding.dim)
    assert bool(torch.isfinite(keys).all())
    distances = torch.cdist(keys.double(), keys.double())
    same = [
        (one, other)
        for one in range(65)
        for other in range(one)
        if records[one].image.sha == records[other].image.sha and records[one].question == records[other].question
    ]
    for one in range(65):
        for other in range(one):
            assert (float(distances[one, other]) < 1e-5) == ((one, other) in same)


@pytest.mark.parametrize("half", ["aokvqa", "fvqa", pytest.param("all", marks=pytest.mark.soak)])
def test_edits_go_in_and_come_out_again(make_editor: Maker, records: list[QARecord], half: str) -> None:
    """Twelve of either data set, or all; evidence found by the model, radii measured on the photo."""
    taken = {"aokvqa": records[:12], "fvqa": records[39:51], "all": records}[half]
    chosen = [record.as_edit() for record in taken]
    editor = make_editor(merge="either")
    empty = editor.checksum()
    after_six = ""
    for place, edit in enumerate(chosen):
        receipt = editor.edit(edit)
        assert receipt.keys_added + receipt.keys_merged >= 1 + len(edit.reasoning)
        if place == 5:
            after_six = editor.checksum()
    assert editor.edit_ids == tuple(edit.id for edit in chosen)
    for edit, answer in zip(chosen, editor.answer([edit.as_question() for edit in chosen]), strict=True):
        assert answer.accepted
        assert any(edit.answer in fact for fact in answer.facts), (edit.question, answer.facts)
    for edit in reversed(chosen[6:]):
        editor.undo(edit.id)
    assert editor.checksum() == after_six
    for edit in chosen[:6]:  # also not in the order in which they went in
        editor.undo(edit.id)
    assert editor.checksum() == empty and not editor.edit_ids


def real_questions() -> list[QARecord]:
    """All 1,145 real questions; their photos, told apart by number, are not needed to draw from them."""
    return [
        QARecord(
            row["question_id"],
            ImageRef(sha=str(row["image_id"])),
            row["question"],
            tuple(dict.fromkeys(row["choices"])),
            row["choices"][row["correct_choice_idx"]],
        )
        for row in json.loads(FULL_AOKVQA.read_text())
    ]


def best_three(edits: Sequence[Edit], pool: Sequence[QARecord]) -> set[str]:
    """The united best three by word overlap, comparing every edit with every question; equals may stand in."""
    chosen: set[str] = set()
    worded = {record.id: set(words(record.question)) for record in pool}
    for edit in edits:
        own = set(words(edit.question))
        overlaps = {name: len(own & other) / len(own | other) for name, other in worded.items()}
        third = sorted(overlaps.values(), reverse=True)[2]
        chosen |= {name for name, overlap in overlaps.items() if overlap >= third and overlap > 0}
    return chosen


def test_both_halves_of_the_locality_set(caplog: pytest.LogCaptureFixture) -> None:
    questions = real_questions()
    assert len(questions) == 1145
    edits = [record.as_edit() for record in questions[::11]]
    rest = [record for place, record in enumerate(questions) if place % 11]
    with caplog.at_level(logging.WARNING):
        drawn = draw_locality(edits, rest, 200, similar_share=0.5, seed=4)
    assert not caplog.records
    assert len(drawn.random) == len(drawn.similar) == 100
    assert len({question.id for question in drawn.questions}) == 200
    images, asked = {edit.image.sha for edit in edits}, {question_key(edit.question) for edit in edits}
    pool = [record for record in rest if record.image.sha not in images and question_key(record.question) not in asked]
    assert {question.id for question in drawn.questions} <= {record.id for record in pool}
    assert set(drawn.similar) <= best_three(edits, pool)

    # The similar half is nearer to the edits than the random one, or it would not be a harder test.
    worded = {record.id: set(words(record.question)) for record in pool}
    edited = [set(words(edit.question)) for edit in edits]

    def nearest(name: str) -> float:
        return max(len(worded[name] & own) / len(worded[name] | own) for own in edited)

    means = [sum(map(nearest, half)) / 100 for half in (drawn.random, drawn.similar)]
    assert means[1] > means[0] + 0.1
