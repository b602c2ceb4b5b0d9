"""Everything on a device that is not the CPU, and on several: what is made, moved, mixed. Numbers stay the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from rv_edit.vlm import VLM, load_vlm, probe_layers
from tests.vlm.pretended import Pretended, clear, place, spread

QUESTIONS = ["What is it?", "What colour is the cat?", "What is it?", "Does the image show a small dog on the mat?"]
CANDIDATES = [["red", "a small dog"], ["blue", "two cats"], ["red", "green"], ["yes", "no, it is a lamp"]]


def everything(vlm: VLM, images: list[Image.Image]) -> dict[str, Any]:
    """What a VLM can do, as plain numbers."""
    feats = vlm.encode_images(images, pool_layers=[0, 1])
    rows = feats.pick([0, 0, 1, 2])
    prompts = [vlm.format_prompt(question, ["The mat is blue."]) for question in QUESTIONS]
    return {
        "score": vlm.score(rows, prompts, CANDIDATES),
        "shared": [
            value.tolist()
            for value in vlm.score_shared(feats.pick([0]), [(prompts[0], "red"), (prompts[1], "a small dog")])
        ],
        "yes_no": vlm.yes_no(rows, prompts).tolist(),
        "next": vlm.next_token_logp(rows, prompts).tolist(),
        "nll": vlm.nll(rows, prompts, [answers[1] for answers in CANDIDATES]).tolist(),
        "generate": vlm.generate(rows, prompts, max_new_tokens=4),
        "pooled": {layer: value.tolist() for layer, value in feats.pooled.items()},
        "early": vlm.embed_vision(images, 1).tolist(),
        "layers": {ref.path: value.tolist() for ref, value in vlm.embed_layers([images[0]] * 2, QUESTIONS[:2]).items()},
        "last": {
            ref.path: value.tolist()
            for ref, value in vlm.embed_layers([images[0]] * 2, QUESTIONS[:2], pool="last").items()
        },
        "probed": {
            ref.path: value.tolist()
            for ref, value in probe_layers(vlm, [images[0], images[0], images[1]], QUESTIONS[:3]).items()
        },
    }


@pytest.fixture(scope="module")
def own(checkpoint: Path) -> VLM:
    """A model of this file's own, whose weights may say they are elsewhere."""
    return load_vlm(str(checkpoint))


@pytest.fixture
def lent(own: VLM) -> Iterator[VLM]:
    """The model, given back as it was."""
    yield own
    clear(own.model)


def test_on_one_device(lent: VLM, images: list[Image.Image]) -> None:
    """Nothing that meets the weights is made on the CPU; pixels go over once a batch, only results come back."""
    expected = everything(lent, images)
    place(lent.model, "cuda:0")
    with Pretended() as pretended:
        assert lent.device == torch.device("cuda:0")
        pixels = lent.preprocess(images)
        assert all(str(value.device) == "cuda:0" for value in pixels.values())
        assert pretended.sent == {"cuda:0": len(pixels)}
        feats = lent.encode_images(images, pool_layers=[1])
        assert pretended.sent == {"cuda:0": 2 * len(pixels)}
        assert all(str(row.tokens.device) == "cuda:0" for row in feats.rows)
        assert everything(lent, images) == expected


def test_spread_over_two(lent: VLM, images: list[Image.Image]) -> None:
    """As ``device_map=auto`` leaves it: parts on two devices, each given its input there."""
    expected = everything(lent, images)
    with Pretended():
        handles = spread(lent.model, parts(lent))
        try:
            found = everything(lent, images)
        finally:
            for handle in handles:
                handle.remove()
    assert found == expected


def parts(vlm: VLM) -> dict[str, str]:
    """Names of parts: tower, merger and first decoder layers on one device, the rest on another."""
    names = {id(module): name for name, module in vlm.model.named_modules()}
    layers = list(vlm.lm_layers())
    later = [*layers[1:], vlm.model.get_output_embeddings(), vlm.decoder.norm, vlm.decoder.rotary_emb]
    decoder, tower = names[id(vlm.decoder)], names[id(vlm.model.get_encoder("image"))]
    out = {tower: "cuda:1"}  # not where the text's embeddings are
    for name, _ in vlm.model.named_modules():
        inside = name.startswith((f"{tower}.", f"{decoder}.")) or name == decoder
        parent = decoder.startswith(f"{name}.") or tower.startswith(f"{name}.") or not name
        if not inside and not parent and name != tower and not any(name.startswith(f"{known}.") for known in out):
            out[name] = "cuda:0"
    out[names[id(vlm.model.get_input_embeddings())]] = "cuda:0"
    out[names[id(layers[0])]] = "cuda:0"
    out.update({names[id(module)]: "cuda:1" for module in later})
    return out


def test_what_is_pretended_is_what_a_gpu_does() -> None:
    """The checks themselves: mixing fails, moving and CPU indices do not."""
    with Pretended() as pretended:
        there = torch.arange(4.0, device="cuda:0")
        here = torch.arange(4.0)
        assert str(there.device) == "cuda:0" and str((there * 2).sum(dim=0).device) == "cuda:0"
        with pytest.raises(RuntimeError, match=r"same device, but .* \['cpu', 'cuda:0'\]"):
            there + here
        with pytest.raises(RuntimeError, match="same device"):
            torch.cat([there, torch.zeros(2, device="cuda:1")])
        with pytest.raises(RuntimeError, match="same device"):
            there[torch.tensor([1], device="cuda:1")]
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert there[torch.tensor([1])].tolist() == [1.0] and there.cpu().numpy().tolist() == [0, 1, 2, 3]
        moved: Tensor = here.to("cuda:0")
        assert (moved + there).tolist() == [0, 2, 4, 6] and str(here.device) == "cpu"
        assert pretended.sent == {"cpu": 1, "cuda:0": 1}
        assert (there * torch.tensor(2.0)).tolist() == [0, 2, 4, 6]
        assert str(there.new_zeros(2).device) == str(torch.zeros_like(there).device) == "cuda:0"
