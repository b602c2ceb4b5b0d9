"""What FT, LoRA and MEND share: rolling back, replaying, files that belong to one model and one set of options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer

from data_modules.records import Edit, RecordError
from data_modules.stream import EditStreamDataModule
from rv_edit.editors import last_block
from rv_edit.editors.descent import Descending
from rv_edit.editors.finetune import FineTune
from rv_edit.editors.lora import LoRA
from rv_edit.editors.module import EditorModule, SingleEditModule
from rv_edit.editors.weights import check_target, target_of
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.editors.conftest import make_edit, question

QUICK = Descending(lr=5e-3, steps=40, least_steps=10)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def make(vlm: VLM) -> Callable[..., FineTune]:
    return lambda **options: FineTune(vlm, **{"training": QUICK, **options})


def trainer(folder: Path) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        max_epochs=1,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
    )


@pytest.mark.parametrize("kind", [FineTune, LoRA])
def test_the_answer_becomes_the_models_own(vlm: VLM, kind: Any) -> None:
    editor = kind(vlm, Descending(lr=1e-2, steps=200))
    edit = make_edit(0)
    wrong = editor.answer([edit.as_question()])[0].prediction
    other = next(choice for place, choice in enumerate(edit.choices) if place != wrong)
    edit = replace(edit, answer=other)
    receipt = editor.edit(edit)
    answer = editor.answer([edit.as_question()])[0]
    assert answer.prediction == edit.target and answer.scores[edit.target] > -0.5
    assert "steps, loss" in receipt.notes[0]


def test_a_diverging_edit_is_rolled_back_counted_and_the_stream_goes_on(
    make: Callable[..., FineTune], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, alone = make(), make()
    alone.edit(make_edit(0))
    alone.edit(make_edit(2))
    update = whole.update

    calls: list[last_block.Trace] = []

    def diverging(trace: last_block.Trace) -> str:
        calls.append(trace)
        note = update(trace)
        if len(calls) == 2:
            next(iter(whole.memory.tensors.values())).data[0, 0] = float("nan")
        return note

    monkeypatch.setattr(whole, "update", diverging)
    shared: list[tuple[str, ...]] = []
    monkeypatch.setattr(whole, "replicate", lambda: shared.append(whole.edit_ids))
    module = EditorModule(whole)
    trainer(tmp_path).fit(module, datamodule=EditStreamDataModule([make_edit(index) for index in range(3)]))
    ((name, why),) = module.refused
    assert name == "edit1" and "not a finite number" in why and "\n" not in why
    assert module.diverged == ["edit1"]
    assert whole.edit_ids == ("edit0", "edit2") and whole.checksum() == alone.checksum()
    assert shared == [("edit0",), ("edit0",), ("edit0", "edit2")]  # after every edit, made or not


def test_a_learning_rate_far_too_high_is_named(make: Callable[..., FineTune]) -> None:
    editor = make(training=Descending(lr=1e30, steps=20, least_steps=0))
    before = editor.memory.copies()
    with pytest.raises(RecordError, match="smaller lr") as caught:
        editor.edit(make_edit(0))
    assert "\n" not in str(caught.value) and editor.edit_ids == () and editor.memory.finite()
    assert all(torch.equal(value, editor.memory.tensors[name]) for name, value in before.items())


def test_an_interrupted_edit_leaves_nothing(make: Callable[..., FineTune], monkeypatch: pytest.MonkeyPatch) -> None:
    editor = make()
    editor.edit(make_edit(0))
    state = editor.checksum()

    def interrupted(trace: last_block.Trace) -> str:
        next(iter(editor.memory.tensors.values())).data.zero_()
        raise KeyboardInterrupt

    monkeypatch.setattr(editor, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        editor.edit(make_edit(1))
    with pytest.raises(KeyboardInterrupt):
        editor.edit(make_edit(2))
    assert editor.checksum() == state and editor.edit_ids == ("edit0",)


def test_an_interrupted_replay_leaves_nothing(make: Callable[..., FineTune], monkeypatch: pytest.MonkeyPatch) -> None:
    editor = make()
    for index in range(3):
        editor.edit(make_edit(index))
    state, update = editor.checksum(), editor.update

    def interrupted(trace: last_block.Trace) -> str:
        if trace is editor.memory.traces["edit2"]:
            raise KeyboardInterrupt
        return update(trace)

    monkeypatch.setattr(editor, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        editor.undo("edit1")
    assert editor.checksum() == state and editor.edit_ids == ("edit0", "edit1", "edit2")


def test_undoing_the_last_edit_is_replaying_the_others(make: Callable[..., FineTune]) -> None:
    quick, slow = make(), make()
    for editor in (quick, slow):
        for index in range(3):
            editor.edit(make_edit(index))
    slow.memory.before_last = None
    quick.undo("edit2")
    slow.undo("edit2")
    assert quick.checksum() == slow.checksum()
    quick.undo("edit1")  # nothing is kept of what was before it
    reference = make()
    reference.edit(make_edit(0))
    assert quick.checksum() == reference.checksum()


def test_edits_build_on_each_other(make: Callable[..., FineTune]) -> None:
    one, two = make(), make()
    one.edit(make_edit(0))
    one.edit(make_edit(1))
    two.edit(make_edit(1))
    assert not np.allclose(one.answer([question(0)])[0].scores, two.answer([question(0)])[0].scores, atol=1e-3)


def test_an_edited_state_replaces_another_and_an_empty_one_clears(make: Callable[..., FineTune]) -> None:
    editor, other = make(), make()
    empty = {name: value.clone() for name, value in editor.state_dict().items()}
    assert list(empty) == ["_extra_state"]
    editor.edit(make_edit(0))
    assert {name.split(".")[0] for name in editor.state_dict()} == {"_extra_state", "weights", "traces"}
    other.edit(make_edit(1))
    other.load_state_dict(editor.state_dict())
    assert other.edit_ids == ("edit0",) and other.checksum() == editor.checksum()
    other.load_state_dict(empty)
    assert other.edit_ids == () and other.nbytes == 0
    assert all(torch.equal(value, other.memory.tensors[name]) for name, value in other.memory.start.items())


def test_the_adapter_is_all_that_lora_keeps(vlm: VLM) -> None:
    editor = LoRA(vlm, QUICK, rank=2, alpha=4.0)
    own = last_block.linear_layers(vlm.final_mlp())
    editor.edit(make_edit(0))
    kept = {name for name in editor.state_dict() if name.startswith("weights.")}
    assert len(kept) == 2 * len(own) and all("lora_" in name for name in kept)
    inputs = torch.randn(3, 48)
    layer = editor.block.get_submodule("down_proj")
    a, b = (editor.memory.tensors[f"down_proj.lora_{part}.default.weight"].detach() for part in "AB")
    wide = torch.randn(3, 96)
    expected = wide @ own["down_proj"].weight.T + 4.0 / 2 * (wide @ a.T) @ b.T
    assert torch.allclose(layer(wide).detach(), expected, atol=1e-5)
    assert not torch.allclose(editor.block(inputs).detach(), vlm.final_mlp()(inputs), atol=1e-4)


def test_files_of_others_are_refused_in_one_line(make: Callable[..., FineTune], vlm: VLM, tmp_path: Path) -> None:
    editor = make()
    editor.edit(make_edit(0))
    editor.save(tmp_path / "one")
    file = tmp_path / "one/weights.safetensors"
    whole = file.read_bytes()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut/weights.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").mkdir()
    (tmp_path / "changed").mkdir()
    (tmp_path / "changed/weights.safetensors").write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    others = [
        (make(target="{answer}. {reasoning}"), "one", "target"),
        (make(training=replace(QUICK, lr=1e-4)), "one", "training"),
        (LoRA(vlm, QUICK), "one", "editor"),
        (make(), "cut", "cannot be read"),
        (make(), "changed", "was changed after it was saved"),
        (make(), "empty", "no weights.safetensors"),
    ]
    for other, place, said in others:
        with pytest.raises(ConfigError, match=said) as caught:
            other.load(tmp_path / place)
        assert "\n" not in str(caught.value) and other.edit_ids == ()
    assert make().state_dict().keys() == {"_extra_state"}


def test_saving_replaces_whole_files(make: Callable[..., FineTune], tmp_path: Path) -> None:
    editor = make()
    editor.edit(make_edit(0))
    editor.save(tmp_path)
    one = (tmp_path / "weights.safetensors").read_bytes()
    editor.save(tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() == one
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        editor.save(tmp_path / "file/below")


def test_single_edits_meet_the_model_as_it_came(make: Callable[..., FineTune], tmp_path: Path) -> None:
    edits: list[Edit] = [make_edit(index) for index in range(3)]
    asked = {edit.id: [edit.as_question(), question(0)] for edit in edits}
    module = SingleEditModule(make(), asked)
    trainer(tmp_path).fit(module, datamodule=EditStreamDataModule(edits))
    assert module.editor.edit_ids == () and len(module.receipts) == 3
    for edit in edits:
        alone = make()
        alone.edit(edit)
        expected = [answer.scores for answer in alone.answer(asked[edit.id])]
        found = [answer.scores for item, answer in module.asked if item in asked[edit.id][:1]]
        assert found == expected[:1]


def test_targets_begin_with_the_answer() -> None:
    edit = make_edit(0)
    assert target_of("{answer}", edit) == ("red", "")
    assert target_of("{answer}. {reasoning}", edit) == ("red", ". " + " ".join(edit.reasoning))
    assert target_of("{answer}. {reasoning}", make_edit(0, facts=0)) == "red"
    for bad in ("It is {answer}", "{reasoning}", "{answer} {colour}", "{answer} {"):
        with pytest.raises(ConfigError, match=r"editor\.target"):
            check_target(bad)
