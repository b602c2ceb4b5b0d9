"""The other pocket families train on what their adapters will read, and begin with what the elder has learned."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
import torch

from rv_edit.pocket.render import render
from rv_edit.pocket.scene import random_scene
from rv_edit.pocket.tokenizer import build_tokenizer
from rv_edit.pocket.training.build import Size, build_llava, build_processor
from rv_edit.pocket.training.families import Family, Llava
from rv_edit.pocket.training.lessons import Group, Item
from rv_edit.pocket.training.module import PocketTraining
from rv_edit.pocket.training.packing import collate, flatten
from rv_edit.pocket.training.siblings import BUILDERS, STYLES, save
from rv_edit.pocket.training.stream import Lessons
from rv_edit.vlm import load_vlm

TINY = Size(vision_width=16, vision_layers=2, vision_heads=2, width=32, layers=2, heads=2, mlp=48)
NAMES = ("llava", *BUILDERS)
STATEMENTS = ["A mug is made of clay.", "The small red thing is a mug."]
QUESTION, ANSWER = "What is the small red thing made of?", "clay"


@pytest.fixture(scope="module")
def elder() -> Llava:
    tokenizer = build_tokenizer()
    return Llava(build_llava(tokenizer, TINY, 0), build_processor(tokenizer))


def made(name: str, elder: Llava) -> Family:
    return elder if name == "llava" else BUILDERS[name](elder, TINY, 0)


def silent(module: PocketTraining) -> PocketTraining:
    module.log = module.log_dict = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    return module


def test_every_family_has_a_style_and_a_folder() -> None:
    assert set(STYLES) == set(NAMES) == {"llava", "instructblip", "qwen3vl"}


@pytest.mark.parametrize("crop", [None, (0, 0, 48, 96)], ids=["square", "tall"])
@pytest.mark.parametrize("name", NAMES)
def test_training_reads_a_prompt_as_the_adapter_does(
    name: str, crop: tuple[int, int, int, int] | None, elder: Llava, tmp_path: Path
) -> None:
    """The whole path: picture to pixels to tokens, layout, positions, deep features, instruction."""
    family = made(name, elder)
    save(family, name, tmp_path / name)
    assert json.loads((tmp_path / name / "generation_config.json").read_text())["do_sample"] is False
    family.model.float()
    vlm = load_vlm(str(tmp_path / name))
    loaded = type(family)(vlm.model, vlm.processor)
    picture = render(random_scene(Random(3))).crop(crop)
    pixels = loaded.pixels([picture])
    (grid,) = loaded.grids(pixels)
    flat = flatten(Group(STATEMENTS, [Item(QUESTION, ANSWER, "value")]), loaded.spell, loaded.layout, grid)
    packed = collate([flat], [0], 0, loaded.layout.axes)
    module = silent(PocketTraining(loaded, "joint", 1e-3, 10, pointing=0.0))
    with torch.no_grad():
        seen = loaded.see(pixels)
        mean = module.read([packed], lambda one: loaded.tokens(seen, one.owner.tolist(), one.instructions))
    prompt = vlm.format_prompt(QUESTION, STATEMENTS)
    logp = vlm.score(vlm.encode_images([picture]), [prompt], [(ANSWER, "glass")])[0].logp[0]
    longer = vlm.next_token_logp(vlm.encode_images([picture]), [prompt])[0]
    n = len(vlm.prompts.answer_ids(ANSWER)) + 1  # training also asks for the end of the answer
    assert n == 2 and logp == pytest.approx(float(longer[vlm.prompts.answer_ids(ANSWER)[0]]), abs=1e-4)
    first, weights = packed.labels[packed.labels != -100][0], packed.weights[packed.weights > 0]
    assert int(first) == vlm.prompts.answer_ids(ANSWER)[0]
    end = vlm.nll(vlm.encode_images([picture]), [prompt], [ANSWER])
    assert float(end) == pytest.approx(-float(logp), abs=1e-4)
    # mean over both tokens: subtract the first one's share to get the end's, and compare the first one's
    packed.labels[packed.labels == loaded.layout.eos] = -100
    with torch.no_grad():
        alone = module.read([packed], lambda one: loaded.tokens(seen, one.owner.tolist(), one.instructions))
    assert float(alone) == pytest.approx(-float(logp), abs=1e-4)
    assert float(mean) != pytest.approx(float(alone)) and len(weights) == 2


@pytest.mark.parametrize("name", list(BUILDERS))
def test_a_sibling_begins_with_the_elders_words_and_layers(name: str, elder: Llava) -> None:
    family = made(name, elder)
    mine, theirs = dict(family.decoder.named_parameters()), dict(elder.decoder.named_parameters())
    words = theirs.pop("embed_tokens.weight")
    assert torch.equal(mine["embed_tokens.weight"][: len(words)], words)
    assert all(torch.equal(mine[key], value) for key, value in theirs.items()) and len(theirs) > 15


@pytest.mark.parametrize("name", NAMES)
def test_both_stages_take_a_step(name: str, elder: Llava) -> None:
    """Align imitates the elder's picture tokens and leaves the decoder alone; joint moves everything that answers."""
    family = made(name, elder)
    teacher = None if name == "llava" else elder
    for stage in ("align", "joint"):
        module = silent(PocketTraining(family, stage, 1e-3, 10, elder=teacher))
        stream = Lessons(family, 3, seed=1, words=stage == "joint", elder=teacher if stage == "align" else None)
        module.training_step(next(iter(stream)), 0).backward()
        moved = {part for part, weight in module.named_parameters() if weight.grad is not None and weight.grad.any()}
        assert any(family.tower in part for part in moved)
        assert any("layers.0" in part and family.tower not in part for part in moved) is (stage == "joint")
        assert ("pointer.weight" in moved) is (stage == "joint")
        family.model.zero_grad()
        family.model.requires_grad_(True)
