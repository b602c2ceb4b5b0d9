"""GRACE: what a value is trained on, where it applies, its radius, and the entries of facts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from rv_edit.editors.base import EditorContext
from rv_edit.editors.grace import Grace, typical_distance
from rv_edit.editors.target_reading import read_target, target_ids, target_nll
from rv_edit.editors.value_training import Schedule
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.editors.conftest import make_edit, picture, question
from tests.editors.entry_makers import grace

TRAINING = {"lr": 0.1, "steps": 5, "least_steps": 0}


def seen_by_block(vlm: VLM, index: int, text: str) -> Tensor:
    """What enters the final block, (L, d), by a plain hook on a plain pass."""
    kept: list[Tensor] = []
    handle = vlm.final_mlp().register_forward_pre_hook(lambda _module, inputs: kept.append(inputs[0][0].detach()))
    try:
        vlm.nll(vlm.encode_images([picture(index).open()]), [vlm.format_prompt(text)], ["red"])
    finally:
        handle.remove()
    return kept[0]


def test_the_key_enters_the_last_block_at_the_last_prompt_token(vlm: VLM) -> None:
    editor, edit = grace(vlm), make_edit(0)
    editor.edit(edit)
    entering = seen_by_block(vlm, 0, edit.question)
    assert torch.allclose(editor.entries.keys[0], entering[-1], atol=1e-5)
    assert editor.entries.fingerprint["block"].endswith("layers.1.mlp")


def test_training_from_kept_states_is_training_the_whole_model(vlm: VLM) -> None:
    """The loss, and its gradient, equal those of a full pass with the value in place at every predicting position."""
    feats = vlm.encode_images([picture(3).open()])
    prompt, target = vlm.format_prompt("What colour is lamp 3?"), "a small blue dog"
    ids = target_ids(vlm, target)
    read = read_target(vlm, feats, prompt, ids)
    value = torch.randn(read.residual.shape[1], generator=torch.Generator().manual_seed(1)).requires_grad_()
    fast = target_nll(vlm, read.residual + value, ids)
    (fast_grad,) = torch.autograd.grad(fast, value)

    def replace_output(_module: object, _inputs: object, output: Tensor) -> Tensor:
        about = vlm.hook_context
        assert about is not None
        last = int(about.prompt_mask[0].sum()) - 1
        changed = output.clone()
        changed[0, last:] = value
        return changed

    handle = vlm.final_mlp().register_forward_hook(replace_output)
    try:
        full = vlm.nll(feats, [prompt], [target])[0] / len(ids)
        (full_grad,) = torch.autograd.grad(full, value)
    finally:
        handle.remove()
    assert fast.item() == pytest.approx(full.item(), abs=1e-4)
    assert torch.allclose(fast_grad, full_grad, atol=1e-4) and float(full_grad.norm()) > 1e-3


def test_the_value_applies_at_the_last_prompt_position_and_at_every_answer_position(vlm: VLM) -> None:
    """Scores equal those of naive full passes with the value put in by hand."""
    editor = grace(vlm)
    edit = replace(make_edit(0), choices=("red", "a small dog", "a blue lamp", "two"), answer="a small dog")
    editor.edit(edit)
    (answer,) = editor.answer([edit.as_question()])
    feats, prompt = vlm.encode_images([edit.image.open()]), vlm.format_prompt(edit.question)
    value = editor.entries.values[0]
    for choice, score in zip(edit.choices, answer.scores, strict=True):
        ids = target_ids(vlm, choice)
        read = read_target(vlm, feats, prompt, ids)
        assert score == pytest.approx(-len(ids) * float(target_nll(vlm, read.residual + value, ids)), abs=1e-4)


def test_hooks_serve_training_passes_and_generation_too(vlm: VLM) -> None:
    editor, edit = grace(vlm, steps=60), replace(make_edit(0), choices=("red", "a small dog"), answer="a small dog")
    editor.edit(edit)
    feats, prompt = vlm.encode_images([edit.image.open()]), vlm.format_prompt(edit.question)
    other = vlm.format_prompt(question(0).text)
    plain = vlm.nll(feats.pick([0, 0]), [prompt, other], [edit.answer, edit.answer])
    with editor.hooks()() as decided:
        edited = vlm.nll(feats.pick([0, 0]), [prompt, other], [edit.answer, edit.answer])
    assert [decided[item].accepted for item in (0, 1)] == [True, False]
    ids = target_ids(vlm, edit.answer)
    by_hand = target_nll(vlm, read_target(vlm, feats, prompt, ids).residual + editor.entries.values[0], ids)
    assert edited[0].item() == pytest.approx(len(ids) * by_hand.item(), abs=1e-4)
    assert edited[0] < plain[0] - 0.1 and edited[1] == plain[1]
    with editor.hooks()():
        (text,) = vlm.generate(feats, [prompt], max_new_tokens=3)
    greedy: list[int] = []
    for _ in range(3):
        read = read_target(vlm, feats, prompt, [*greedy, 0])
        hidden = vlm.decoder.norm(read.residual[-1] + editor.entries.values[0])
        greedy.append(int(vlm.head(hidden).argmax()))
    assert text == vlm.tokenizer.decode(greedy).strip() != vlm.generate(feats, [prompt], max_new_tokens=3)[0]


def test_edits_that_share_an_answer_near_each_other_share_an_entry(vlm: VLM) -> None:
    editor = grace(vlm, epsilon=100.0)
    for index in range(2):
        receipt = editor.edit(replace(make_edit(index), answer="red"))
    assert (receipt.keys_added, receipt.keys_merged, receipt.bytes_added) == (0, 1, 0) and editor.num_keys == 1
    receipt = editor.edit(replace(make_edit(2), answer="blue"))
    assert receipt.keys_added == 1 and editor.num_keys == 2
    apart = float((editor.entries.keys[0] - editor.entries.keys[1]).norm())
    assert editor.entries.radii.tolist() == pytest.approx([apart / 2 - 1e-5, apart / 2], rel=1e-5)


def test_an_expanded_radius_still_holds_what_it_was_expanded_to(vlm: VLM) -> None:
    """Another batch moves a distance's last bits, and a radius that equals a distance must not depend on them."""
    probe = grace(vlm, epsilon=NEAR)
    for index in range(2):
        probe.edit(replace(make_edit(index), answer="red"))
    apart = float((probe.entries.keys[0] - probe.entries.keys[1]).norm())
    editor = grace(vlm, epsilon=0.75 * apart)
    for index in range(2):
        editor.edit(replace(make_edit(index), answer="red"))
    assert editor.num_keys == 1 and float(editor.entries.radii[0]) == pytest.approx(apart)
    asked = [make_edit(1).as_question(), *(question(index, image=1) for index in range(5))]
    for batch in (asked, asked[:1], asked[:3]):
        assert editor.answer(batch)[0].accepted


NEAR = 1e-3


def test_cot_has_an_entry_for_each_fact(vlm: VLM) -> None:
    editor, edit = grace(vlm, cot=True), make_edit(0, facts=2)
    assert editor.edit(edit).keys_added == 3 == editor.num_keys
    assert [item.kind for item in editor.entries.stream] == ["answer", "reasoning", "reasoning"]
    for row, (item, fact) in enumerate(zip(editor.entries.stream[1:], edit.reasoning, strict=True), 1):
        assert item.text == fact and item.fact.label == target_ids(vlm, fact)
        assert torch.allclose(editor.entries.keys[row], seen_by_block(vlm, 0, fact)[-1], atol=1e-5)
    plain = grace(vlm)
    plain.edit(edit)
    assert torch.equal(plain.entries.values[0], editor.entries.values[0]), "the answer's entry is the same without"
    editor.undo("edit0")
    assert editor.num_keys == 0
    assert editor.edit(make_edit(1, facts=0)).keys_added == 1


def test_epsilon_is_scaled_from_the_data(vlm: VLM) -> None:
    sample = [(picture(index), f"What is thing {index}?") for index in range(5)]
    keys = torch.stack([seen_by_block(vlm, index, text)[-1] for index, (_, text) in enumerate(sample)])
    apart = sorted(float((keys[i] - keys[j]).norm()) for i in range(5) for j in range(i))
    assert typical_distance(vlm, sample) == pytest.approx(apart[4], rel=1e-4)  # the lower of the middle two of ten
    context = EditorContext(vlm, grace(vlm).asking, sample)
    made = Grace.from_context(context, training=TRAINING, epsilon_share=0.25, epsilon_pairs=5, epsilon=None)
    assert made.epsilon == pytest.approx(0.25 * apart[4], rel=1e-4)
    assert Grace.from_context(context, training=TRAINING, epsilon=2.5).epsilon == 2.5


def test_cold_values_begin_uniform_and_alike_in_every_process(vlm: VLM) -> None:
    still = {"start": "cold", "lr": 1e-12, "steps": 1}
    one, two, other = grace(vlm, **still), grace(vlm, **still), grace(vlm, **still, seed=1)
    for editor in (one, two, other):
        editor.edit(make_edit(0))
    value = one.entries.values[0]
    assert 0 <= float(value.min()) < 0.3 and 0.7 < float(value.max()) < 1
    assert torch.equal(value, two.entries.values[0]) and not torch.equal(value, other.entries.values[0])
    warm = grace(vlm, start="warm", lr=1e-12, steps=1)
    warm.edit(make_edit(0))
    with torch.no_grad():
        output = vlm.final_mlp()(seen_by_block(vlm, 0, make_edit(0).question)[-1:])
    assert np.allclose(warm.entries.values[0], output[0], atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"start": "hot"},
        {"epsilon": 0.0},
        {"epsilon": "wide"},
        {"gap": -1.0},
        {"rounding": 1.0},
        {"unknown": 1},
        {"epsilon": None, "epsilon_share": 0.0},
        {"epsilon": None, "epsilon_pairs": 1},
        {"epsilon": None},
        {"training": {"lr": "fast"}},
        {"training": {"speed": 1}},
    ],
)
def test_options_are_checked(vlm: VLM, options: dict) -> None:
    with pytest.raises(ConfigError, match="editor") as caught:
        Grace.from_context(EditorContext(vlm, grace(vlm).asking), **{"training": TRAINING, "epsilon": 1.0, **options})
    assert "\n" not in str(caught.value)
    assert Schedule(**TRAINING).steps == 5


def test_a_shared_value_goes_on_training_from_where_it_was(vlm: VLM) -> None:
    """With steps too small to see, the value after the second edit is still where the first one's began."""
    still = {"epsilon": 100.0, "lr": 1e-12, "steps": 1}
    both, first, second = (grace(vlm, **still) for _ in range(3))
    one, two = (replace(make_edit(index), answer="red") for index in range(2))
    for editor, made in ((both, (one, two)), (first, (one,)), (second, (two,))):
        for edit in made:
            editor.edit(edit)
    assert [row.chain for row in both.entries.rows] == [(0, 1)]
    assert torch.allclose(both.entries.values[0], first.entries.values[0], atol=1e-9)
    assert not torch.allclose(first.entries.values[0], second.entries.values[0], atol=1e-4)
