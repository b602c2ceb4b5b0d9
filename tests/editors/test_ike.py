"""IKE: what is retrieved is what brute force finds, by words that hold no answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.records import RecordError
from rv_edit.editors.answering import Asking
from rv_edit.editors.base import EditorContext
from rv_edit.editors.ike import IKE
from rv_edit.editors.unedited import Unedited
from rv_edit.embedding import TextEncoder
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.editors.conftest import make_edit, question

ASKING = Asking(batch_size=4, image_batch_size=3)
Maker = Callable[..., IKE]


@pytest.fixture
def make(vlm: VLM, encoder: TextEncoder) -> Maker:
    def made(cot: bool = False, k: int = 3, **codebook: object) -> IKE:
        return IKE(vlm, encoder, {"k": k, "gate": "none", **codebook}, asking=ASKING, cot=cot)

    return made


def sentence(index: int) -> str:
    edit = make_edit(index)
    return f"The answer to question {edit.question} about the image is {edit.answer}."


def test_retrieval_is_brute_force(make: Maker, encoder: TextEncoder) -> None:
    """Cosine over all stored questions, in numpy, with the sentences in order of similarity."""
    editor = make(k=4)
    stored = [make_edit(index) for index in range(12)]
    for edit in stored:
        editor.edit(edit)
    asked = [question(index) for index in range(6)] + [edit.as_question() for edit in stored[:3]]

    def unit(texts: list[str]) -> np.ndarray:
        vectors = np.stack([encoder.encode([text]).numpy()[0] for text in texts]).astype(np.float64)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    keys = unit([edit.question for edit in stored]).astype(np.float16).astype(np.float64)
    alike = unit([item.text for item in asked]) @ keys.T / np.linalg.norm(keys, axis=1)
    for row, answer in zip(alike, editor.answer(asked), strict=True):
        expected = np.argsort(-row, kind="stable")[:4]
        assert [row[index] for index in expected] == sorted(row[expected], reverse=True)
        found = [next(i for i in range(12) if sentence(i) == fact) for fact in answer.facts]
        assert np.allclose(row[found], row[expected], atol=1e-5) and len(set(found)) == 4
        assert np.allclose(np.square(answer.distances) / 2, 1 - row[found], atol=2e-3)


def test_the_sentences_go_before_the_question(make: Maker, vlm: VLM) -> None:
    editor = make(k=2)
    for index in range(3):
        editor.edit(make_edit(index))
    asked = make_edit(0).as_question()
    (answer,) = editor.answer([asked])
    assert answer.facts[0] == sentence(0) and len(answer.facts) == 2 and answer.accepted
    feats = vlm.encode_images([asked.image.open()])
    (expected,) = vlm.score(feats, [vlm.format_prompt(asked.text, answer.facts)], [list(asked.choices)])
    assert np.allclose(answer.scores, expected.logp, atol=1e-4)


def test_no_answer_reaches_a_key_or_a_query(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, edit = make(), make(), make_edit(0)
    one.edit(replace(edit, answer="red"))
    two.edit(replace(edit, answer="yellow"))
    assert torch.equal(one.codebook.keys, two.codebook.keys) and one.codebook.values != two.codebook.values
    seen: list[str] = []
    encode = one.encoder.encode
    monkeypatch.setattr(one.encoder, "encode", lambda texts, exact=True: seen.extend(texts) or encode(texts, exact))
    one.answer([replace(edit.as_question(), target=3), question(1)])
    assert set(seen) == {edit.question, question(1).text}


def test_nobody_tells_it_which_questions_are_edited(make: Maker) -> None:
    """Every question is treated alike, so Loc is asked as it would be in use; a gate makes it decide."""
    editor, gated = make(), make(gate="percentile", radius_factor=0.0)
    for index in range(3):
        editor.edit(make_edit(index))
        gated.edit(make_edit(index))
    loc = [question(index) for index in range(4)]
    as_edit = [replace(item, suite="acc", edit_id="edit0") for item in loc]
    assert editor.answer(loc) == editor.answer(as_edit)
    assert all(len(answer.facts) == 3 for answer in editor.answer(loc))
    unedited = Unedited(editor.vlm, ASKING).answer(loc)
    refused = gated.answer(loc)
    assert not any(answer.accepted for answer in refused)
    assert [answer.scores for answer in refused] == [answer.scores for answer in unedited], "bit for bit"


def test_an_empty_memory_answers_as_unedited(make: Maker, vlm: VLM) -> None:
    asked = [question(index) for index in range(5)]
    assert make().answer(asked) == Unedited(vlm, ASKING).answer(asked)


def test_cot_stores_each_fact_by_its_own_words(make: Maker) -> None:
    editor, plain, edit = make(cot=True), make(), make_edit(0, facts=2)
    assert editor.edit(edit).keys_added == 3 and plain.edit(edit).keys_added == 1
    assert editor.codebook.values == ((sentence(0),), (edit.reasoning[0],), (edit.reasoning[1],))
    assert torch.equal(editor.codebook.keys, editor.embed([edit.question, *edit.reasoning]).half())


def test_batched_equals_one_by_one(make: Maker) -> None:
    editor = make()
    for index in range(6):
        editor.edit(make_edit(index))
    asked = [make_edit(index).as_question() for index in range(3)] + [question(index) for index in range(4)]
    for whole, item in zip(editor.answer(asked), asked, strict=True):
        (single,) = editor.answer([item])
        assert (whole.question_id, whole.facts, whole.prediction) == (item.id, single.facts, single.prediction)
        assert np.allclose(whole.scores, single.scores, atol=1e-4)


@pytest.mark.parametrize("undone", [0, 1, 2])
def test_undo_is_as_if_never_made(make: Maker, undone: int) -> None:
    editor, reference = make(cot=True), make(cot=True)
    for index in range(3):
        editor.edit(make_edit(index))
        if index != undone:
            reference.edit(make_edit(index))
    editor.undo(f"edit{undone}")
    assert editor.checksum() == reference.checksum()
    with pytest.raises(RecordError):
        editor.undo(f"edit{undone}")


def test_states_and_files_restore_the_edits(make: Maker, tmp_path: Path) -> None:
    editor, taken, loaded = make(), make(), make()
    for index in range(3):
        editor.edit(make_edit(index))
    taken.load_state_dict(editor.state_dict())
    editor.save(tmp_path)
    loaded.load(tmp_path)
    asked = [make_edit(0).as_question(), question(0)]
    for other in (taken, loaded):
        assert other.checksum() == editor.checksum() and other.answer(asked) == editor.answer(asked)


def test_another_answer_supersedes(make: Maker) -> None:
    editor, edit = make(), make_edit(0)
    editor.edit(edit)
    assert editor.edit(replace(edit, id="later", answer="blue")).superseded == "edit0"
    assert editor.answer([edit.as_question()])[0].facts == (sentence(0).replace("red", "blue"),)


def test_bad_edits_and_options_are_one_line(make: Maker, vlm: VLM, encoder_folder: Path) -> None:
    editor = make()
    editor.edit(make_edit(0))
    state = editor.checksum()
    broken = replace(make_edit(1), image=type(make_edit(1).image).from_bytes(b"no picture"))
    endless = replace(make_edit(2), question="word " * 2000)
    for bad in (make_edit(0), broken, endless):
        with pytest.raises(RecordError) as caught:
            editor.edit(bad)
        assert "\n" not in str(caught.value)
    assert editor.checksum() == state
    for options in ({"answer_template": "It is {answer}."}, {"unknown": 1}, {"cot": 3}, {"codebook": {"k": 0}}):
        with pytest.raises(ConfigError):
            IKE.from_context(EditorContext(vlm, ASKING), text_encoder=str(encoder_folder), **options)


def test_a_codebook_of_another_encoder_or_editor_is_refused(make: Maker, tmp_path: Path) -> None:
    editor, other = make(), make()
    editor.edit(make_edit(0))
    editor.save(tmp_path)
    other.codebook.fingerprint = {**other.codebook.fingerprint, "text_encoder": "another"}
    with pytest.raises(ConfigError, match="text_encoder"):
        other.load(tmp_path)
