"""BalancEdit: its radius, its update, and what each is made of."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from data_modules.records import ImageRef, Question
from rv_edit.editors.balancedit import BalancEdit, balanced_radius
from rv_edit.editors.base import EditorContext
from rv_edit.editors.rephrasing import Rephraser
from rv_edit.editors.target_reading import target_ids
from rv_edit.editors.unedited import Unedited
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.editors.conftest import make_edit, picture, question
from tests.editors.entry_makers import ASKING, balancedit

OPTIONS = {"training": {"lr": 0.1, "steps": 5, "least_steps": 0}, "rephrase": {"frames": ["Say: {question}"]}}


def mean_entering(vlm: VLM, image: Image.Image, text: str) -> Tensor:
    """The mean, in plain Python, of what enters the final block over picture and prompt; no answer follows."""
    kept: list[Tensor] = []
    handle = vlm.final_mlp().register_forward_pre_hook(lambda _module, inputs: kept.append(inputs[0][0].detach()))
    try:
        vlm.next_token_logp(vlm.encode_images([image]), [vlm.format_prompt(text)])
    finally:
        handle.remove()
    rows = kept[0].double().tolist()
    return torch.tensor([sum(column) / len(rows) for column in zip(*rows, strict=True)])


def distance(one: Tensor, other: Tensor) -> float:
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(one.tolist(), other.tolist(), strict=True)))


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_the_radius_is_the_papers_formula_restated(vlm: VLM, alpha: float) -> None:
    editor, edit = balancedit(vlm, alpha=alpha, steps=1), make_edit(0)
    receipt = editor.edit(edit)
    image = edit.image.open()
    key = mean_entering(vlm, image, edit.question)
    assert torch.allclose(editor.entries.keys[0].double(), key.double(), atol=1e-5)
    frames = [frame.replace("{question}", edit.question) for frame in editor.rephraser.frames]
    near = [distance(key, mean_entering(vlm, image, text)) for text in frames]
    blank = Image.new("RGB", image.size, (0, 0, 0))
    far = distance(key, mean_entering(vlm, blank, edit.question))
    expected = (1 - alpha) * sum(near) / len(near) + alpha * far
    assert float(editor.entries.radii[0]) == pytest.approx(expected, rel=1e-4)
    assert sum(near) / len(near) != pytest.approx(far, rel=0.01), "α would not show"
    assert f"{far:.3g}"[:3] in receipt.notes[0]


def test_alpha_is_the_weight_of_the_blank_picture() -> None:
    assert balanced_radius(1.0, 5.0, 0.0) == 1.0 and balanced_radius(1.0, 5.0, 1.0) == 5.0
    assert balanced_radius(1.0, 5.0, 0.25) == 2.0


def test_a_blank_picture_nearer_than_the_rewordings_is_said(vlm: VLM) -> None:
    dark = ImageRef.from_pil(Image.new("RGB", (36, 36), "black"))
    notes = [balancedit(vlm, steps=1).edit(edit).notes for edit in (replace(make_edit(0), image=dark), make_edit(0))]
    assert [len(lines) for lines in notes] == [2, 1]


def test_later_edits_leave_the_radii_of_earlier_ones_alone(vlm: VLM) -> None:
    editor = balancedit(vlm, alpha=1.0, steps=1)
    editor.edit(make_edit(0))
    before = editor.entries.radii[0].clone()
    for index in (1, 2):
        editor.edit(make_edit(index))
    assert editor.entries.radii[0] == before and len(set(editor.entries.radii.tolist())) == 3


def test_answers_are_those_of_the_layer_with_the_update_in_its_weights(vlm: VLM) -> None:
    """ΔW applied by hooks at the positions that count, against a copy of the matrix with ΔW added, on whole passes."""
    editor = balancedit(vlm, rank=3)
    edit = replace(make_edit(0), choices=("red", "a small dog", "a blue lamp", "two"), answer="a small dog")
    editor.edit(edit)
    plain, edited = (one.answer([edit.as_question()])[0].scores for one in (Unedited(vlm, ASKING), editor))
    linear = vlm.final_mlp().up_proj
    split = 3 * linear.in_features
    right = editor.entries.values[0, :split].view(3, -1)
    left = editor.entries.values[0, split:].view(-1, 3)
    own = linear.weight.data
    linear.weight.data = own + left @ right
    try:
        by_hand = Unedited(vlm, ASKING).answer([edit.as_question()])[0].scores
    finally:
        linear.weight.data = own
    assert np.allclose(edited, by_hand, atol=1e-4) and not np.allclose(edited, plain, atol=1e-2)


def test_each_question_gets_the_update_of_its_own_entry(vlm: VLM) -> None:
    both = balancedit(vlm)
    alone = [balancedit(vlm) for _ in range(2)]
    for index in range(2):
        both.edit(make_edit(index))
        alone[index].edit(make_edit(index))
    asked: list[Question] = [make_edit(index).as_question() for index in range(2)]
    together = both.answer(asked)
    for index in range(2):
        (single,) = alone[index].answer([asked[index]])
        assert np.allclose(together[index].scores, single.scores, atol=1e-4)
    assert not torch.equal(both.entries.values[0], both.entries.values[1])


def test_an_edit_within_anothers_radius_goes_on_from_its_update(vlm: VLM) -> None:
    wide, narrow = balancedit(vlm, alpha=1.0, lr=1e-12, steps=1), balancedit(vlm, lr=1e-12, steps=1)
    for editor in (wide, narrow):
        for index in range(2):
            editor.edit(make_edit(index))
    assert torch.allclose(wide.entries.values[0], wide.entries.values[1], atol=1e-9)
    assert not torch.allclose(narrow.entries.values[0], narrow.entries.values[1], atol=1e-3)
    assert [row.chain for row in wide.entries.rows] == [(0,), (0, 1)]


def test_the_mean_does_not_depend_on_what_is_read_once_for_several(vlm: VLM) -> None:
    """Prompts over one picture share their beginning, whose states belong to each one's mean."""
    editor, edit = balancedit(vlm), make_edit(0)
    editor.edit(edit)
    beside = [question(index, image=0) for index in range(3)]
    together = editor.answer([edit.as_question(), *beside])
    alone = [editor.answer([item])[0] for item in (edit.as_question(), *beside)]
    assert [a.distances for a in together] == [pytest.approx(b.distances, abs=1e-4) for b in alone]
    assert together[0].distances[0] < 1e-3 < together[1].distances[0]


def test_cot_trains_on_the_answer_followed_by_the_reasoning(vlm: VLM) -> None:
    editor, edit = balancedit(vlm, target="{answer}. {reasoning}", steps=1), make_edit(0, facts=2)
    editor.edit(edit)
    (item,) = editor.entries.stream
    ids = item.states["target"].tolist()
    assert tuple(ids[: len(target_ids(vlm, edit.answer))]) == target_ids(vlm, edit.answer)
    assert vlm.tokenizer.decode(ids) == f"{edit.answer}. {' '.join(edit.reasoning)}"
    assert item.fact.label == target_ids(vlm, edit.answer)
    plain = balancedit(vlm, steps=1)
    plain.edit(edit)
    assert plain.entries.stream[0].states["target"].tolist() == list(target_ids(vlm, edit.answer))
    assert torch.equal(plain.entries.keys, editor.entries.keys)
    bare = balancedit(vlm, target="{answer}. {reasoning}", steps=1)
    bare.edit(make_edit(0, facts=0))
    assert bare.entries.stream[0].text == edit.answer


def test_the_answers_tokens_survive_what_follows(vlm: VLM) -> None:
    """Joined with the full stop behind it an answer would be other tokens than those that it is scored by."""
    facts = ". The cat is red."
    for answer in ("blue", "a small dog"):
        own = target_ids(vlm, answer)
        joint = target_ids(vlm, answer, facts)
        assert joint[: len(own)] == own and len(joint) > len(own)
    assert vlm.prompts.answer_ids("blue" + facts)[0] != target_ids(vlm, "blue")[0], "a tokenizer that joins nothing"


def test_rewordings_by_the_model_or_by_frames(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    feats = vlm.encode_images([picture(0).open()])
    asked: list[str] = []

    def says(text: str) -> None:
        monkeypatch.setattr(
            vlm, "generate", lambda _feats, prompts, _most: asked.extend(str(p) for p in prompts) or [text]
        )

    by_model = Rephraser(vlm, "model", ["Say: {question}"], "Reword: {question}")
    says("Which colour has  the lamp?")
    assert by_model(feats, "What colour is the lamp?") == (["Which colour has the lamp?"], "model")
    assert "Reword: What colour is the lamp?" in asked[0]
    for empty in ("", "what colour is the LAMP?"):
        says(empty)
        assert by_model(feats, "What colour is the lamp?") == (["Say: What colour is the lamp?"], "frames")


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 1.5},
        {"rank": 0},
        {"matrix": "middle_proj"},
        {"blank": "no colour"},
        {"target": "{reasoning}"},
        {"target": "{answer} twice"},
        {"unknown": 1},
        {"rephrase": {"how": "guess"}},
        {"rephrase": {"frames": []}},
        {"rephrase": {"frames": ["Say."]}},
        {"rephrase": {"max_new_tokens": 0}},
    ],
)
def test_options_are_checked(vlm: VLM, options: dict) -> None:
    with pytest.raises(ConfigError, match="editor") as caught:
        BalancEdit.from_context(EditorContext(vlm, ASKING), **{**OPTIONS, **options})
    assert "\n" not in str(caught.value)
