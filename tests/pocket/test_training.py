"""Packed lessons are separate prompts at a fraction of the tokens; streams and optimizers can be resumed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch

from rv_edit.pocket.scene import KINDS, random_scene
from rv_edit.pocket.tokenizer import build_tokenizer
from rv_edit.pocket.training.__main__ import weights_of
from rv_edit.pocket.training.build import TEMPLATE, Size, build_llava, build_processor
from rv_edit.pocket.training.contexts import SORTS, drill
from rv_edit.pocket.training.families import Llava, Tokens
from rv_edit.pocket.training.lessons import Group, Item, lesson, open_items
from rv_edit.pocket.training.module import PocketTraining
from rv_edit.pocket.training.optim import MuonAdamW
from rv_edit.pocket.training.oracle import SIDE, patch_labels
from rv_edit.pocket.training.packing import Flat, Packed, Speller, collate, flatten
from rv_edit.pocket.training.stream import Lessons

TINY = Size(vision_width=16, vision_layers=1, vision_heads=2, width=32, layers=2, heads=2, mlp=48)
TOKENIZER = build_tokenizer()
PROCESSOR = build_processor(TOKENIZER)


def tiny(seed: int = 0) -> Llava:
    return Llava(build_llava(TOKENIZER, TINY, seed), PROCESSOR)


LAYOUT = tiny().layout


def flat(group: Group) -> Flat:
    return flatten(group, Speller(TOKENIZER), LAYOUT)


def test_a_packed_group_gives_every_answer_the_loss_of_its_own_prompt() -> None:
    module = PocketTraining(tiny(), "language", 1e-3, 10, pointing=0.0).eval()
    module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    one = next(x for x in (lesson(Random(i)) for i in range(9)) if any(g.statements for g in x.groups))
    group = next(group for group in one.groups if group.statements and len(group.items) > 1)
    picture = module.perfect(patch_labels(one.view))

    def show(packed: Packed) -> Tokens:
        return Tokens(picture.repeat(len(packed.owner), 1))

    with torch.no_grad():
        packed = module.read([collate([flat(group)], [0], 0)], show)
        alone, weights = [], []
        for item in group.items:
            single = collate([flat(Group(group.statements, [item]))], [0], 0)
            alone.append(module.read([single], show))
            weights.append(single.weights.sum())
    expected = (torch.stack(alone) * torch.stack(weights)).sum() / torch.stack(weights).sum()
    assert packed == pytest.approx(float(expected), rel=1e-5)


def test_exact_answers_are_counted_by_what_they_ask() -> None:
    module = PocketTraining(tiny(), "language", 1e-3, 10)
    missed = torch.zeros(2, 9)
    missed[0, 3] = 1  # the prediction of column 4
    spans = [[0, 3, 5, "kind"], [0, 6, 8, "kind"], [1, 2, 4, "value"], [0, 4, 5, "show"], [0, 5, 6, "which"]]
    module.mark(torch.tensor([[*span[:3], SORTS.index(str(span[3]))] for span in spans]), missed)
    assert module.marks == {"kind": 0.5, "value": 1.0, "show": 0.0, "which": 1.0}


@pytest.mark.parametrize("index", range(12))
def test_a_drill_can_be_answered_from_what_it_tells(index: int) -> None:
    group = drill(random_scene(Random(index)), Random(index))
    told = [item for item in group.items if item.sort in ("told_answer", "told_fact")]
    text = " ".join(group.statements).lower()
    by_answer = [item for item in told if item.sort == "told_answer"]
    assert all(item.answer.lower() in text for item in by_answer)
    assert len(told) <= len(group.statements) or not group.statements


def test_a_stage_trains_what_it_uses() -> None:
    def trained(stage: str) -> set[str]:
        module = PocketTraining(tiny(), stage, 1e-3, 10)
        return {name for name, parameter in module.named_parameters() if parameter.requires_grad}

    everything = trained("joint")
    sight = {name for name in everything if "vision_tower" in name or "projector" in name or name.startswith("heads")}
    assert trained("vision") == trained("align") == sight and trained("language") == everything - sight


def test_a_packed_prompt_is_tokenised_as_the_adapter_does() -> None:
    group = Group(["A mug is red. A lamp is blue."], [Item("What is it?", "a mug", "kind")])
    ids = flat(group).ids
    text = TEMPLATE.format(q="A mug is red. A lamp is blue. What is it?").replace("<image>", "<image>" * SIDE * SIDE)
    joint = TOKENIZER(text).input_ids + TOKENIZER("a mug", add_special_tokens=False).input_ids
    assert ids == [*joint, TOKENIZER.eos_token_id]


def test_the_model_is_taught_at_the_prompts_end_which_thing_is_meant() -> None:
    scene = random_scene(Random(3), n_things=3)
    item = next(one for one in open_items(scene, Random(1), n=9) if one.cell >= 0)
    thing = scene.at(item.cell // 3, item.cell % 3)
    assert thing is not None and KINDS[item.kind] == thing.kind
    packed = collate([flat(Group(["A mug is red."], [item, item]))], [0], 0)
    tail = TOKENIZER(" ASSISTANT:", add_special_tokens=False).input_ids
    for row, column, cell, kind in packed.about.tolist():
        assert packed.ids[row, column - 1 : column + 1].tolist() == tail
        assert packed.labels[row, column + 1] == TOKENIZER(item.answer, add_special_tokens=False).input_ids[0]
        assert (cell, kind) == (item.cell, item.kind)


def test_the_stream_can_be_entered_anywhere() -> None:
    whole = list(islice(iter(Lessons(tiny(), 2, seed=5, ramp=10, look=False)), 4))
    late = next(iter(Lessons(tiny(), 2, seed=5, start=3, ramp=10, look=False)))
    assert torch.equal(whole[3].packed[0].ids, late.packed[0].ids) and torch.equal(whole[3].labels, late.labels)


def test_cells_of_every_crop_align_with_patches() -> None:
    for index in range(40):
        view = lesson(Random(index)).view
        labels = patch_labels(view)
        per_cell = SIDE // view.rows * (SIDE // view.cols)
        on = labels[:, 1] < 8
        assert int(on.sum()) == per_cell * len(view.things)


def test_muon_and_adamw_restore_to_the_same_steps() -> None:
    def steps(restart: bool) -> torch.Tensor:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.LayerNorm(6), torch.nn.Linear(6, 2))
        rest = [p for p in model.parameters() if p is not model[0].weight]

        def make() -> MuonAdamW:
            return MuonAdamW([([model[0].weight], 0.5)], [(rest, 1.0)], 1e-2)

        optimizer = make()
        for step in range(6):
            if restart and step == 3:
                saved = optimizer.state_dict()
                optimizer = make()
                optimizer.load_state_dict(saved)
            optimizer.zero_grad()
            model(torch.ones(3, 6) * (step + 1)).square().sum().backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(steps(False), steps(True))


def test_training_goes_on_from_what_was_exported(tmp_path: Path) -> None:
    model = build_llava(TOKENIZER, TINY, 3)
    model.save_pretrained(tmp_path / "exported")
    first, second = (PocketTraining(tiny(), "joint", 1e-3, 10) for _ in range(2))
    torch.save({"state_dict": {f"model.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "last.ckpt")
    for module, path in ((first, tmp_path / "exported"), (second, tmp_path / "last.ckpt")):
        assert not module.load_state_dict(weights_of(path), strict=False).unexpected_keys
    expected = model.state_dict()
    for module in (first, second):
        assert all(torch.equal(value, expected[name]) for name, value in module.model.state_dict().items())
