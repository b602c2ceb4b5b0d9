"""MEND: its update is autograd's on the same factors, its training the weighted sum, its network kept by options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from rv_edit.editors import last_block, mend_data
from rv_edit.editors.answering import Asking
from rv_edit.editors.base import EditorContext
from rv_edit.editors.mend import Mend
from rv_edit.editors.mend_block import DeltaBlock
from rv_edit.editors.mend_data import episodes, trained
from rv_edit.editors.mend_network import LowRankLayer, Transforms
from rv_edit.editors.mend_training import MetaTraining, NetworkOptions, TransformTraining
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.editors.conftest import make_edit
from tests.run import tiny_data

SMALL = NetworkOptions(rank=16, layers=2, step=1e-2)
OPTIONS = MetaTraining(
    data=partial(tiny_data.load, size=24), rewording="tests.run.tiny_data.reword", epochs=6, lr=1e-3, step_lr=1e-3
)


@pytest.fixture
def context(vlm: VLM) -> EditorContext:
    return EditorContext(vlm, Asking())


def fresh(vlm: VLM, step: float = 1e-2) -> Transforms:
    return Transforms(DeltaBlock(vlm).shapes, rank=16, layers=2, step=step, seed=0)


def trace_of(vlm: VLM, index: int) -> last_block.Trace:
    edit = make_edit(index)
    (seen,) = last_block.trace(
        vlm, vlm.encode_images([edit.image.open()]), [vlm.format_prompt(edit.question)], [("red", " blue cat")]
    )
    return seen


def test_factors_give_the_gradient_of_the_weights(vlm: VLM) -> None:
    seen, block = trace_of(vlm, 0), DeltaBlock(vlm)
    factors = block.factors(seen)
    own = {name: layer.weight for name, layer in last_block.linear_layers(vlm.final_mlp()).items()}
    for weight in own.values():
        weight.requires_grad_(True)
    try:
        gradients = torch.autograd.grad(last_block.loss(vlm, vlm.final_mlp(), seen), list(own.values()))
    finally:
        for weight in own.values():
            weight.requires_grad_(False)
    for (name, (x, delta)), gradient in zip(factors.items(), gradients, strict=True):
        assert x.shape[0] == delta.shape[0] == len(seen.tokens)
        assert torch.allclose(torch.einsum("to,ti->oi", delta, x), gradient, atol=1e-6), name


def test_at_first_the_update_is_a_step_down_autograds_gradient(vlm: VLM) -> None:
    """Not normalised, and the identity: W − step · dL/dW. The sign is the paper's, hence the loss falls."""
    seen, block = trace_of(vlm, 0), DeltaBlock(vlm)
    factors = block.factors(seen)
    update = fresh(vlm, step=1e-3).update(factors)
    for name, (x, delta) in factors.items():
        weight = torch.zeros(delta.shape[1], x.shape[1], requires_grad=True)
        (gradient,) = torch.autograd.grad((torch.nn.functional.linear(x, weight) * delta).sum(), [weight])
        assert torch.allclose(update[name], -1e-3 * gradient, atol=1e-8), name
    before = float(last_block.loss(vlm, block.module, seen).detach())
    with block.with_further({name: change.detach() for name, change in update.items()}), torch.no_grad():
        assert float(last_block.loss(vlm, block.module, seen)) < before


def test_normalised_it_is_autograds_gradient_on_the_normalised_factors(vlm: VLM) -> None:
    edits = [DeltaBlock(vlm).factors(trace_of(vlm, index)) for index in range(4)]
    transforms = fresh(vlm, step=1e-3)
    transforms.measure(edits)
    update = transforms.update(edits[2])
    for name, (x, delta) in edits[2].items():
        alike = [one for one in edits[0] if edits[0][one][0].shape[1] == x.shape[1]]
        parts = []
        for place, own in enumerate((x, delta)):
            seen = np.concatenate([edit[one][place].numpy() for edit in edits for one in alike])
            parts.append((own.numpy() - seen.mean(0)) / seen.std(0))
        expected = -1e-3 * parts[1].T @ parts[0]
        assert np.allclose(update[name].detach().numpy(), expected, atol=1e-5), name


def test_a_layer_starts_as_the_identity_and_can_leave_it() -> None:
    layer = LowRankLayer(8, rank=4, matrices=2)
    inputs = torch.randn(5, 8)
    assert torch.equal(layer(inputs, 1), inputs)
    layer(inputs, 1).sum().backward()
    assert layer.u.grad is not None and bool(layer.u.grad.abs().sum() > 0)  # relu would give 0 here
    assert layer.scale.grad is not None and bool((layer.shift.grad[0] == 0).all())  # the other matrix's own


def test_matrices_of_one_shape_share_a_network(vlm: VLM) -> None:
    transforms = fresh(vlm)
    assert len(transforms.by_shape) == 2 and len(transforms.shapes) == 3 == len(transforms.steps)


def test_tokens_without_a_gradient_are_left_out(vlm: VLM) -> None:
    edits = [DeltaBlock(vlm).factors(trace_of(vlm, index)) for index in range(2)]
    transforms = fresh(vlm)
    transforms.measure(edits)
    padded = {
        name: (torch.cat([x, torch.ones(2, x.shape[1])]), torch.cat([delta, torch.zeros(2, delta.shape[1])]))
        for name, (x, delta) in edits[0].items()
    }
    one, two = transforms.update(edits[0]), transforms.update(padded)
    assert all(torch.allclose(one[name], two[name], atol=1e-7) for name in one)


def test_the_loss_is_the_weighted_sum(vlm: VLM, context: EditorContext) -> None:
    made = episodes(context, OPTIONS, "{answer}")
    options = replace(OPTIONS, edit_weight=0.3, loc_weight=2.0)
    training = TransformTraining(vlm, fresh(vlm, step=0.1), made, options)
    (update, episode) = training.transforms.update(made[1].factors), made[1]
    own = last_block.linear_layers(vlm.final_mlp())
    kept = {name: layer.weight.clone() for name, layer in own.items()}

    def logits(seen: last_block.Trace) -> Any:
        return last_block.logits(vlm, vlm.final_mlp(), seen).detach().double()

    with torch.no_grad():
        before = logits(episode.unrelated).softmax(-1)
        for name, layer in own.items():
            layer.weight += update[name]
        after = logits(episode.unrelated).softmax(-1)
        says = cross_entropy(logits(episode.reworded), episode.reworded.tokens)
        for name, layer in own.items():
            layer.weight.copy_(kept[name])
    drift = (before * (before.log() - after.log())).sum(-1).mean()
    assert float(drift) > 1e-6
    assert training.loss(episode).item() == pytest.approx(0.3 * float(says) + 2.0 * float(drift), rel=1e-4)


def test_training_lowers_the_held_out_loss_and_is_kept(
    vlm: VLM, context: EditorContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one = trained(context, SMALL, OPTIONS, "{answer}", tmp_path)
    assert torch.equal(torch.rand(1), expected)  # nothing else is drawn otherwise for it
    made = episodes(context, OPTIONS, "{answer}")
    held = made[: round(0.2 * len(made))]
    start = fresh(vlm)
    start.measure([episode.factors for episode in made[len(held) :]])

    def loss(transforms: Transforms) -> float:
        training = TransformTraining(vlm, transforms, made, OPTIONS)
        return float(np.mean([training.loss(episode).item() for episode in held]))

    assert loss(one) < 0.9 * loss(start)
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".safetensors"
    monkeypatch.setattr(mend_data, "fit", lambda *_: pytest.fail("trained again"))
    again = trained(context, SMALL, OPTIONS, "{answer}", tmp_path)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in one.state_dict().items())
    assert not any(weight.requires_grad for weight in vlm.model.parameters())


@pytest.mark.parametrize(
    ("change", "target"),
    [
        (lambda context, network, options: (context, replace(network, rank=8), options), "{answer}"),
        (lambda context, network, options: (context, network, replace(options, lr=2e-3)), "{answer}"),
        (lambda context, network, options: (replace(context, seed=1), network, options), "{answer}"),
        (
            lambda context, network, options: (
                context,
                network,
                replace(options, data=partial(tiny_data.load, size=23)),
            ),
            "{answer}",
        ),
        (lambda context, network, options: (context, network, options), "{answer}. {reasoning}"),
    ],
)
def test_whatever_it_depends_on_has_a_file_of_its_own(
    context: EditorContext, change: Callable[..., Any], target: str
) -> None:
    key = mend_data._key(context, SMALL, OPTIONS, "{answer}")
    assert key == mend_data._key(context, SMALL, OPTIONS, "{answer}")
    assert key != mend_data._key(*change(context, SMALL, OPTIONS), target)


def test_a_damaged_file_is_made_anew(context: EditorContext, tmp_path: Path, caplog: Any) -> None:
    options = replace(OPTIONS, epochs=1)
    one = trained(context, SMALL, options, "{answer}", tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    again = trained(context, SMALL, options, "{answer}", tmp_path)
    assert "trained anew" in caplog.text and file.read_bytes() == whole
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize(
    ("data", "said"),
    [(None, "dataset.tuning"), (partial(tiny_data.load, size=1), "answered right")],
)
def test_without_records_to_train_on_it_says_so(context: EditorContext, data: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        trained(context, SMALL, replace(OPTIONS, data=data), "{answer}", None)
    assert "\n" not in str(caught.value)


def test_options_are_checked(context: EditorContext) -> None:
    network, training = {"rank": 16, "step": 0.01}, {"epochs": 1}
    for options, said in (
        ({"network": {**network, "colour": 1}, "training": training}, "editor.network.colour"),
        ({"network": network, "training": {**training, "epochs": 0}}, "editor.training.epochs"),
        ({"network": network, "training": {**training, "held_out": 1.0}}, "editor.training.held_out"),
        ({"network": network, "training": training, "target": "It is {answer}"}, "editor.target"),
        ({"network": network, "training": training, "surprise": 1}, "editor.surprise"),
    ):
        with pytest.raises(ConfigError, match=said):
            Mend.from_context(context, **options)


def test_a_diverging_edit_is_rolled_back(vlm: VLM) -> None:
    from data_modules.records import RecordError

    editor = Mend(vlm, fresh(vlm, step=0.01))
    editor.edit(make_edit(0))
    state, sums = editor.memory.copies(), editor.checksum()
    editor.transforms.steps.data.fill_(1e30)
    with pytest.raises(RecordError, match="as before") as caught:
        editor.edit(make_edit(1))
    assert "\n" not in str(caught.value) and editor.checksum() == sums and editor.edit_ids == ("edit0",)
    assert all(torch.equal(value, editor.memory.tensors[name]) for name, value in state.items())
