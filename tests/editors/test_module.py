"""The Lightning shell: edits are steps, checkpoints hold edits alone, resuming changes nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from data_modules.records import Edit, ImageRef, Question
from data_modules.stream import EditStreamDataModule
from rv_edit.editors.callbacks import EditCheckpoint, EditProgressBar, ProgressLog
from rv_edit.editors.module import EditorModule, SingleEditModule
from rv_edit.editors.reasonedit import ReasonEdit
from tests.editors.conftest import make_edit, question
from tests.editors.stopping import Stopped, StopsBefore

Maker = Callable[..., ReasonEdit]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

CALLBACKS = "rv_edit.editors.callbacks"


def trainer(folder: Path, *callbacks: Callback) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        max_epochs=1,
        default_root_dir=folder,
        callbacks=list(callbacks),
        enable_progress_bar=any(isinstance(callback, EditProgressBar) for callback in callbacks),
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, EditCheckpoint) for callback in callbacks),
        use_distributed_sampler=False,
    )


def edits(count: int) -> list[Edit]:
    return [make_edit(index, facts=1) for index in range(count)]


def questions() -> list[Question]:
    return [edit.as_question() for edit in edits(3)] + [question(index) for index in range(4)]


def test_one_edit_is_one_step_and_nothing_frozen_is_saved(make_editor: Maker, tmp_path: Path) -> None:
    module = EditorModule(make_editor())
    run = trainer(tmp_path, EditCheckpoint(2, str(tmp_path)), EditProgressBar())
    run.fit(module, datamodule=EditStreamDataModule(edits(5)))
    assert run.global_step == 5 == len(module.receipts)
    assert module.editor.edit_ids == tuple(f"edit{index}" for index in range(5))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["state_dict"] and all(name.startswith("memory.") for name in saved["state_dict"])
    assert sum(value.numel() for value in saved["state_dict"].values()) < 20_000
    assert [receipt["edit_id"] for receipt in saved["receipts"]] == ["edit0", "edit1", "edit2", "edit3"]
    assert saved["global_step"] == 4


def test_metrics_are_those_of_the_answers(make_editor: Maker, tmp_path: Path) -> None:
    module = EditorModule(make_editor())
    module.editor.edit(make_edit(0, facts=1))
    run = trainer(tmp_path)
    for ask in (run.test, run.validate):
        feed = EditStreamDataModule([], questions(), batch_size=3, probe_edits=9)
        feed.edits = edits(3)
        ask(module, datamodule=feed, verbose=False)
        for suite in ("acc", "loc"):
            own = [(item, answer) for item, answer in module.asked if item.suite == suite]
            right = [item.choices[answer.prediction] == item.choices[item.target] for item, answer in own]
            if own:
                assert module.results[suite] == pytest.approx(sum(right) / len(right))
        assert "t_gen" not in module.results
    asked = module.editor.answer(questions())
    run.test(module, datamodule=EditStreamDataModule([], questions(), batch_size=3), verbose=False)
    found = {item.id: answer.prediction for item, answer in module.asked}
    assert found == {answer.question_id: answer.prediction for answer in asked}
    assert run.callback_metrics["test/acc"] == pytest.approx(module.results["acc"])


@pytest.mark.parametrize("killed", [3, 5])
def test_interrupted_and_resumed_is_uninterrupted(make_editor: Maker, tmp_path: Path, killed: int) -> None:
    whole = EditorModule(make_editor(merge="either"))
    trainer(tmp_path).fit(whole, datamodule=EditStreamDataModule(edits(6)))
    dying = trainer(tmp_path, EditCheckpoint(2, str(tmp_path)), StopsBefore(killed))
    with pytest.raises(Stopped):
        dying.fit(EditorModule(make_editor(merge="either")), datamodule=EditStreamDataModule(edits(6)))
    resumed = EditorModule(make_editor(merge="either"))
    run = trainer(tmp_path)
    run.fit(resumed, datamodule=EditStreamDataModule(edits(6)), ckpt_path=str(tmp_path / "last.ckpt"))
    assert run.global_step == 6 and [receipt.edit_id for receipt in resumed.receipts] == list(whole.editor.edit_ids)
    assert resumed.editor.checksum() == whole.editor.checksum()
    one, two = io.BytesIO(), io.BytesIO()
    torch.save(resumed.editor.state_dict(), one)
    torch.save(whole.editor.state_dict(), two)
    assert one.getvalue() == two.getvalue()


def test_a_bad_edit_is_noted_and_the_stream_goes_on(make_editor: Maker, tmp_path: Path) -> None:
    stream = edits(3)
    stream[1] = replace(stream[1], image=ImageRef.from_bytes(b"no picture"))
    module = EditorModule(make_editor())
    run = trainer(tmp_path)
    run.fit(module, datamodule=EditStreamDataModule(stream))
    assert run.global_step == 3 and module.editor.edit_ids == ("edit0", "edit2")
    ((name, reason),) = module.refused
    assert name == "edit1" and "\n" not in reason and module.diverged == []


def test_single_edits_are_alone_and_undone(make_editor: Maker, tmp_path: Path) -> None:
    alone = make_editor()
    asked = {edit.id: [edit.as_question(), question(index)] for index, edit in enumerate(edits(3))}
    module = SingleEditModule(make_editor(), asked, batch_size=1)
    trainer(tmp_path).fit(module, datamodule=EditStreamDataModule(edits(3)))
    assert module.editor.num_keys == 0 and len(module.receipts) == 3 and len(module.asked) == 6
    for edit in edits(3):
        alone.edit(edit)
        expected = {answer.question_id: answer.facts for answer in alone.answer(asked[edit.id])}
        found = {item.id: answer.facts for item, answer in module.asked if item in asked[edit.id]}
        assert found == expected
        alone.undo(edit.id)


def test_a_log_file_gets_a_line_now_and_then(
    make_editor: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == CALLBACKS]

    seconds = iter(range(0, 1000, 10))
    module = EditorModule(make_editor())
    run = trainer(tmp_path, ProgressLog(every_s=20, clock=lambda: next(seconds)), EditCheckpoint(3, str(tmp_path)))
    with caplog.at_level("INFO", logger="rv_edit"):
        run.fit(module, datamodule=EditStreamDataModule(edits(5)))
    assert told() == ["2 of 5 edits, 10.00 s each", "4 of 5 edits, 10.00 s each"]
    caplog.clear()
    seconds = iter(range(0, 1000, 10))
    again = trainer(tmp_path, ProgressLog(every_s=10, clock=lambda: next(seconds)))
    with caplog.at_level("INFO", logger="rv_edit"):
        again.fit(
            EditorModule(make_editor()), datamodule=EditStreamDataModule(edits(5)), ckpt_path=tmp_path / "last.ckpt"
        )
    assert told() == ["4 of 5 edits, 10.00 s each", "5 of 5 edits, 10.00 s each"]
    caplog.clear()
    seconds = iter(range(0, 1000, 10))
    with caplog.at_level("INFO", logger="rv_edit"):
        trainer(tmp_path, ProgressLog(every_s=20, clock=lambda: next(seconds))).test(
            module, datamodule=EditStreamDataModule([], questions(), batch_size=2), verbose=False
        )
    assert told() == ["asked 2 of 4 batches of questions", "asked 4 of 4 batches of questions"]


def test_a_terminal_gets_the_bar_alone(
    make_editor: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with caplog.at_level("INFO", logger="rv_edit"):
        run = trainer(tmp_path, ProgressLog(every_s=0.0))
        run.fit(EditorModule(make_editor()), datamodule=EditStreamDataModule(edits(2)))
    assert not [record for record in caplog.records if record.name == CALLBACKS]
