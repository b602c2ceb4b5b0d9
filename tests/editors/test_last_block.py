"""One block a step gives what full passes give: the same loss, the same edit, in every family; and nothing is left."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rv_edit.editors import last_block
from rv_edit.editors.descent import Descending
from rv_edit.editors.finetune import FineTune
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, known_families, load_vlm
from tests.editors.conftest import make_edit, picture
from tests.vlm.conftest import builder

TARGETS = ["red", ("blue", ". Fact 0 of lamp 1 is blue. Fact 1 of lamp 1 is green."), "two dogs"]


@pytest.fixture(scope="module", params=sorted(known_families()))
def any_vlm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VLM:
    return load_vlm(str(builder(request.param).build(tmp_path_factory.mktemp(request.param))))


def put(vlm: VLM) -> tuple[Any, list[Any]]:
    feats = vlm.encode_images([picture(1).open(), picture(2).open()]).pick([0, 1, 0])
    return feats, [vlm.format_prompt(f"What colour is lamp {index}?" + " cat" * index) for index in range(3)]


def gradients(block: nn.Module) -> list[Tensor]:
    found = [weight.grad for weight in block.parameters()]
    assert all(grad is not None for grad in found)
    return [grad.clone() for grad in found if grad is not None]


def test_loss_and_gradient_are_those_of_a_full_pass(any_vlm: VLM) -> None:
    feats, prompts = put(any_vlm)
    block = copy.deepcopy(any_vlm.final_mlp()).requires_grad_(True)
    with torch.no_grad():
        for weight in block.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)), alpha=0.05)
    with last_block.in_place(any_vlm, block):
        full = any_vlm.nll(feats, prompts, TARGETS)
        full.sum().backward()
    expected = gradients(block)
    block.zero_grad()
    seen = last_block.trace(any_vlm, feats, prompts, TARGETS)
    fast = torch.stack([last_block.loss(any_vlm, block, one) * len(one.tokens) for one in seen])
    fast.sum().backward()
    assert torch.allclose(fast, full, atol=1e-5)
    for one, two in zip(gradients(block), expected, strict=True):
        assert torch.allclose(one, two, atol=1e-5)


def test_traces_are_alike_alone_and_in_a_batch(any_vlm: VLM) -> None:
    feats, prompts = put(any_vlm)
    for index, together in enumerate(last_block.trace(any_vlm, feats, prompts, TARGETS)):
        (alone,) = last_block.trace(any_vlm, feats.pick([index]), [prompts[index]], [TARGETS[index]])
        for one, two in zip(together.tensors().values(), alone.tensors().values(), strict=True):
            assert torch.allclose(one.float(), two.float(), atol=1e-5)


def bare_loop(model: Any, inputs: dict[str, Tensor], target: list[int], lr: float, steps: int) -> list[Tensor]:
    """FT as anybody would write it on the stock model: full passes, Adam, cosine, the last weights."""
    mlp = model.model.language_model.layers[-1].mlp
    weights = list(mlp.parameters())
    for weight in weights:
        weight.requires_grad_(True)
    ids = torch.cat([inputs["input_ids"], torch.tensor([target])], dim=1)
    optimizer = torch.optim.Adam(weights, lr=lr)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        out = model(
            input_ids=ids, pixel_values=inputs["pixel_values"], attention_mask=torch.ones_like(ids), use_cache=False
        )
        logits = out.logits[0, -len(target) - 1 : -1]
        loss = cross_entropy(logits, torch.tensor(target))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights


def test_finetuning_is_a_bare_loop_on_the_stock_model(vlm: VLM, vlm_folder: Path) -> None:
    edit, steps, lr = make_edit(0), 25, 1e-3
    editor = FineTune(vlm, Descending(lr=lr, steps=steps, least_steps=0, fall=0.0), target="{answer}. {reasoning}")
    editor.edit(edit)
    stock = load_vlm(str(vlm_folder))
    prompt = vlm.format_prompt(edit.question)
    inputs = stock.processor(images=edit.image.open(), text=str(prompt), return_tensors="pt")
    target = stock.prompts.target_ids((edit.answer, ". " + " ".join(edit.reasoning)))
    assert target[: len(vlm.prompts.answer_ids("red"))] == vlm.prompts.answer_ids("red")
    expected = bare_loop(stock.model, dict(inputs), target, lr, steps)
    start = [weight.clone() for weight in vlm.final_mlp().parameters()]
    for mine, theirs, before in zip(editor.memory.tensors.values(), expected, start, strict=True):
        assert (mine - before).abs().max().item() > 5 * lr  # it did move
        assert torch.allclose(mine, theirs, atol=1e-5), float((mine - theirs).abs().max())
    theirs = stock.nll(stock.encode_images([edit.image.open()]), [prompt], ["red"])
    with last_block.in_place(vlm, editor.block):
        mine = vlm.nll(vlm.encode_images([edit.image.open()]), [prompt], ["red"])
    assert torch.allclose(mine, theirs, atol=1e-4)


def test_the_own_block_is_back_whatever_happens(vlm: VLM) -> None:
    own = vlm.final_mlp()

    def fail() -> None:
        with last_block.in_place(vlm, nn.Identity()):
            assert isinstance(vlm.lm_layers()[-1].mlp, nn.Identity)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert vlm.final_mlp() is own


def test_tracing_leaves_no_hook_behind(vlm: VLM) -> None:
    feats, prompts = put(vlm)
    last_block.trace(vlm, feats, prompts, TARGETS)
    assert not vlm.final_mlp()._forward_hooks and not vlm.final_norm()._forward_pre_hooks


def test_a_twin_shares_weights_and_nothing_else(vlm: VLM) -> None:
    own = vlm.final_mlp()
    twin = last_block.twin(own)
    for (name, mine), (_, theirs) in zip(twin.named_parameters(), own.named_parameters(), strict=True):
        assert mine is theirs, name
    layer = next(iter(last_block.linear_layers(twin).values()))
    layer.register_forward_hook(lambda *_: None)
    twin.extra = nn.Identity()
    assert not any(module._forward_hooks for module in own.modules()) and not hasattr(own, "extra")


def test_a_block_in_float_trains_where_the_model_is_bfloat16(vlm_folder: Path) -> None:
    vlm = load_vlm(str(vlm_folder), dtype="bfloat16")
    editor = FineTune(vlm, Descending(lr=1e-5, steps=40, least_steps=40))  # steps that bfloat16 could not hold
    before = editor.memory.copies()
    editor.edit(make_edit(0))
    for name, tensor in editor.memory.tensors.items():
        assert tensor.dtype == torch.float32 and not torch.equal(tensor, before[name])
        assert (tensor - before[name]).abs().max().item() < 1e-3
    assert editor.answer([make_edit(0).as_question()])[0].scores
    assert all(weight.dtype == torch.bfloat16 for weight in vlm.model.parameters())


def test_a_decoder_with_more_behind_the_block_is_refused(vlm: VLM) -> None:
    """As where the block's output is normed before it is added: the trace would be of another model."""
    handle = vlm.lm_layers()[-1].register_forward_hook(lambda _module, _args, output: output.flip(-1))
    try:
        with pytest.raises(ConfigError, match="more than a norm and the head") as caught:
            FineTune(vlm, Descending(lr=1e-3)).edit(make_edit(0))
    finally:
        handle.remove()
    assert "\n" not in str(caught.value)


def test_the_answers_own_tokens_are_trained(vlm: VLM) -> None:
    """A tokenizer that joins the answer and the full stop behind it would train a token that nobody asks for."""
    own = vlm.prompts.answer_ids("blue")
    assert vlm.prompts.answer_ids("blue. It is.")[: len(own)] != own  # this one does
    assert vlm.prompts.target_ids(("blue", ". It is."))[: len(own)] == own
    assert vlm.prompts.target_ids("blue") == own
