"""What every editor promises, and what ReasonEdit's keys and queries may see."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_modules.records import Question, RecordError
from rv_edit.editors.answering import Asking, answer_questions, distinct_choices, is_right
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.editors.unedited import Unedited
from rv_edit.embedding import DualEmbedding
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.editors.conftest import make_edit, picture, question

Maker = Callable[..., ReasonEdit]


def weights(vlm: VLM) -> str:
    digest = hashlib.sha256()
    for name, value in vlm.model.state_dict().items():
        digest.update(name.encode() + value.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def scores(answers: list) -> np.ndarray:
    return np.concatenate([answer.scores for answer in answers])


def test_empty_codebook_answers_bit_for_bit_as_unedited(make_editor: Maker, vlm: VLM) -> None:
    editor = make_editor()
    asked = [question(index) for index in range(7)]
    unedited = Unedited(vlm, editor.asking).answer(asked)
    assert [answer.scores for answer in editor.answer(asked)] == [answer.scores for answer in unedited]


def test_scores_are_those_of_the_model_alone(vlm: VLM) -> None:
    asked = [question(index) for index in range(3)]
    for item, answer in zip(asked, Unedited(vlm).answer(asked), strict=True):
        feats = vlm.encode_images([item.image.open()])
        (alone,) = vlm.score(feats, [vlm.format_prompt(item.text)], [list(item.choices)])
        assert np.allclose(answer.scores, alone.logp, atol=1e-4)
        assert answer.prediction == int(np.argmax(alone.logp)) and answer.question_id == item.id


def test_edit_stores_and_base_weights_stay(make_editor: Maker, vlm: VLM) -> None:
    editor, before = make_editor(reasoning_keys="image"), weights(vlm)
    receipt = editor.edit(make_edit(0))
    assert receipt.keys_added + receipt.keys_merged == 3 and receipt.keys_added >= 1
    assert receipt.bytes_added == editor.nbytes > 0 and receipt.seconds > 0
    answer = editor.answer([make_edit(0).as_question()])[0]
    assert answer.accepted and answer.facts[0].startswith(
        "The answer to question What colour is lamp 0? about the image is red"
    )
    assert len(answer.distances) == editor.num_keys and answer.distances[0] < 1e-2
    assert weights(vlm) == before
    assert not any(parameter.requires_grad for parameter in vlm.model.parameters())


def test_facts_change_the_scores(make_editor: Maker, vlm: VLM) -> None:
    editor = make_editor()
    editor.edit(make_edit(0))
    asked = make_edit(0).as_question()
    (answer,) = editor.answer([asked])
    feats = vlm.encode_images([asked.image.open()])
    (expected,) = vlm.score(feats, [vlm.format_prompt(asked.text, answer.facts)], [list(asked.choices)])
    assert np.allclose(answer.scores, expected.logp, atol=1e-4)
    assert not np.allclose(answer.scores, Unedited(vlm).answer([asked])[0].scores, atol=1e-2)


@pytest.mark.parametrize(("undone", "merge"), [(0, "off"), (1, "either"), (2, "either")])
def test_undo_is_as_if_never_made(make_editor: Maker, undone: int, merge: str) -> None:
    editor, reference = make_editor(merge=merge), make_editor(merge=merge)
    for index in range(3):
        editor.edit(make_edit(index))
        if index != undone:
            reference.edit(make_edit(index))
    editor.undo(f"edit{undone}")
    assert editor.checksum() == reference.checksum()
    for name, value in reference.codebook.state_dict().items():
        assert torch.equal(value, editor.codebook.state_dict()[name]), name
    with pytest.raises(RecordError):
        editor.undo(f"edit{undone}")


def test_state_restores_the_edits(make_editor: Maker) -> None:
    editor, other = make_editor(), make_editor()
    editor.edit(make_edit(0))
    other.load_state_dict(editor.state_dict())
    assert other.edit_ids == ("edit0",) and other.checksum() == editor.checksum()


def test_save_and_go_on(make_editor: Maker, tmp_path) -> None:
    whole, first, second = make_editor(), make_editor(), make_editor()
    for index in range(4):
        whole.edit(make_edit(index))
    first.edit(make_edit(0))
    first.edit(make_edit(1))
    first.save(tmp_path)
    second.load(tmp_path)
    second.edit(make_edit(2))
    second.edit(make_edit(3))
    assert second.checksum() == whole.checksum()


def test_another_key_space_is_refused_in_one_line(make_editor: Maker, embedding: DualEmbedding, tmp_path) -> None:
    editor = make_editor()
    editor.edit(make_edit(0))
    editor.save(tmp_path)
    other = make_editor()
    other.embedding = DualEmbedding(embedding.vlm, embedding.text_encoder, replace(embedding.key_space, lam=2.0))
    with pytest.raises(ConfigError, match="lam") as caught:
        other.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_answer_reaches_a_key_or_a_query(make_editor: Maker) -> None:
    edit = make_edit(0)
    other = replace(edit, answer="yellow")
    one, two = make_editor(), make_editor()
    one.edit(edit)
    two.edit(other)
    assert torch.equal(one.codebook.keys, two.codebook.keys)
    seen: list[str] = []
    encode = one.embedding.text_encoder.encode

    class Spy:
        def encode(self, texts, exact=True):
            seen.extend(texts)
            return encode(texts, exact)

        def __getattr__(self, name):
            return getattr(one_encoder, name)

    one_encoder = one.embedding.text_encoder
    one.embedding = DualEmbedding(one.vlm, Spy(), one.embedding.key_space)  # type: ignore[arg-type]
    one.answer([replace(edit.as_question(), target=3), question(1)])
    assert set(seen) == {edit.question, question(1).text}


def test_batched_equals_one_by_one_in_any_order(make_editor: Maker) -> None:
    editor = make_editor(gate="percentile")
    for index in range(12):
        editor.edit(make_edit(index, facts=1))
    # edited questions, other ones on edited pictures, several on one picture, unrelated ones
    asked: list[Question] = [make_edit(index).as_question() for index in range(4)]
    asked += [question(index, image=index) for index in range(4)] + [question(20 + index) for index in range(4)]
    together = editor.answer(asked)
    assert any(answer.accepted for answer in together) and len({answer.facts for answer in together}) > 2
    alone = [editor.answer([item])[0] for item in asked]
    order = np.random.default_rng(0).permutation(len(asked))
    shuffled = editor.answer([asked[place] for place in order])
    for item, whole, single in zip(asked, together, alone, strict=True):
        mixed = shuffled[list(order).index(asked.index(item))]
        for other in (single, mixed):
            assert whole.question_id == other.question_id == item.id
            assert (whole.facts, whole.accepted, whole.prediction) == (other.facts, other.accepted, other.prediction)
            assert np.allclose(whole.scores, other.scores, atol=1e-4)
            assert np.allclose(whole.distances, other.distances, atol=1e-4)


def test_rejected_questions_keep_their_scores(make_editor: Maker, vlm: VLM) -> None:
    editor = make_editor(gate="percentile")
    editor.edit(make_edit(0))
    editor.codebook.configure(radius_factor=0.0)
    asked = [question(index) for index in range(5)]
    answers = editor.answer(asked)
    assert not any(answer.accepted for answer in answers) and not any(answer.facts for answer in answers)
    assert all(answer.distances for answer in answers)
    assert np.allclose(scores(answers), scores(Unedited(vlm).answer(asked)), atol=1e-4)


def test_same_stream_same_bytes_whatever_happens_between(make_editor: Maker) -> None:
    one, two = make_editor(), make_editor()
    for index in range(3):
        one.edit(make_edit(index))
    two.embedding.text_encoder.encode(["something else", "What colour is lamp 2?"])
    for index in range(3):
        two.answer([question(index)])
        two.edit(make_edit(index))
    assert one.checksum() == two.checksum()


def test_reasoning_keys_choose_the_pictures_of_facts(make_editor: Maker) -> None:
    edit = replace(
        make_edit(0), evidence={0: ((0.0, 0.0, 20.0, 20.0), (3.5, 4.0, 30.0, 36.0)), 1: ((1.0, 1.0, 9.0, 9.0),)}
    )
    boxes = {}
    for keys in ("patch", "image", "both"):
        editor = make_editor(reasoning_keys=keys)
        crops = editor.crops(edit, edit.image.open())
        boxes[keys] = [(entry.fact, entry.box) for entry in editor.entries(edit, crops)]
    one, two, three = (0, 0, 20, 20), (3, 4, 30, 36), (1, 1, 9, 9)
    assert boxes["patch"] == [(None, None), (0, one), (0, two), (1, three)]
    assert boxes["image"] == [(None, None), (0, None), (1, None)]
    assert boxes["both"] == [(None, None), (0, one), (0, two), (0, None), (1, three), (1, None)]


def test_a_fact_without_a_crop_is_paired_with_the_picture(make_editor: Maker) -> None:
    entries = make_editor().entries(make_edit(0), {1: ((0, 0, 9, 9),)})
    assert [(entry.fact, entry.box) for entry in entries] == [(None, None), (0, None), (1, (0, 0, 9, 9))]


def test_bad_edits_change_nothing(make_editor: Maker) -> None:
    editor = make_editor()
    editor.edit(make_edit(0))
    state = editor.checksum()
    broken = replace(make_edit(1), image=type(make_edit(1).image).from_bytes(b"no picture"))
    outside = replace(make_edit(2), evidence={0: ((0.0, 0.0, 999.0, 10.0),)})
    endless = replace(make_edit(3), reasoning=("word " * 2000,))
    for bad in (make_edit(0), broken, outside, endless):
        with pytest.raises(RecordError) as caught:
            editor.edit(bad)
        assert "\n" not in str(caught.value)
    assert editor.checksum() == state


def test_an_edit_without_reasoning_is_an_answer_entry(make_editor: Maker) -> None:
    editor = make_editor()
    assert editor.edit(make_edit(0, facts=0)).keys_added == 1 == editor.num_keys


def test_another_answer_supersedes(make_editor: Maker) -> None:
    editor, edit = make_editor(), make_edit(0, facts=0)
    editor.edit(edit)
    receipt = editor.edit(replace(edit, id="later", answer="blue"))
    assert receipt.superseded == "edit0"
    assert editor.answer([edit.as_question()])[0].facts == (
        "The answer to question What colour is lamp 0? about the image is blue.",
    )


def test_duplicate_choices_are_scored_once_and_count_as_one(vlm: VLM) -> None:
    assert distinct_choices(["a", "b", "a"]) == (["a", "b"], [0, 1, 0])
    asked = Question("q", picture(1), "What is it?", ("red", "red", "two"), 1)
    answer = Unedited(vlm).answer([asked])[0]
    assert answer.scores[0] == answer.scores[1] and answer.prediction != 1
    assert is_right(asked, answer) == (answer.scores[0] >= answer.scores[2])


def test_prompts_too_long_lose_the_farthest_facts(make_editor: Maker) -> None:
    editor = make_editor()
    for index in range(6):
        edit = make_edit(index, facts=0)
        editor.edit(replace(edit, question=f"{edit.question} " + "cat " * 110))
    (answer,) = editor.answer([make_edit(0, facts=0).as_question()])
    assert 1 <= len(answer.facts) < 5 == len(answer.distances)
    assert len(answer.fact_distances) == len(answer.facts)


def test_editor_options_are_checked(make_editor: Maker) -> None:
    for options in ({"reasoning_keys": "some"}, {"answer_template": "It is {answer}."}, {"answer_template": "{x}"}):
        with pytest.raises(ConfigError):
            make_editor(**options)


def test_unedited_takes_no_edits(vlm: VLM) -> None:
    with pytest.raises(ConfigError):
        Unedited(vlm).edit(make_edit(0))
    assert Unedited(vlm).answer([]) == []
    assert answer_questions(vlm, [], Asking()) == []


def test_calibrated_gate_lets_the_stated_share_pass(make_editor: Maker) -> None:
    editor = make_editor(gate="calibrated", calibration_share=0.25)
    unrelated = [question(index) for index in range(20)]
    editor.calibrate(unrelated)
    for index in range(3):
        editor.edit(make_edit(index))
    accepted = sum(bool(answer.accepted) for answer in editor.answer(unrelated))
    assert 3 <= accepted <= 6
