"""The edit stream under a real Trainer, in one process and on two ranks: order, resume, shards."""

from __future__ import annotations

import json
import os
import socket
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch.multiprocessing as mp
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from data_modules.records import Edit, ImageRef, Question, RecordError
from data_modules.stream import EditStreamDataModule

EDITS = [Edit(f"e{place}", ImageRef(sha=f"s{place}"), "?", ("a", "b"), "a") for place in range(9)]
QUESTIONS = [edit.as_question() for edit in EDITS] + [
    Question(f"l{place}", ImageRef(sha=f"t{place // 2}"), "?", ("a", "b"), 0, "loc") for place in range(4)
]
QUIET: dict[str, Any] = {
    "logger": False, "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 1,
    "accelerator": "cpu", "use_distributed_sampler": False, "num_sanity_val_steps": 0,
}  # fmt: skip


class Stop(Exception):
    """The machine went down."""


class Recorder(LightningModule):
    """Notes which edits and questions reach it; the edits are in its checkpoints."""

    def __init__(self, stop_before: str | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.stop_before = stop_before
        self.made: list[str] = []
        self.asked: list[str] = []
        self.validated: list[tuple[int, list[str]]] = []

    def configure_optimizers(self) -> None:
        return None

    def training_step(self, batch: Edit, batch_idx: int) -> None:
        assert isinstance(batch, Edit)
        assert batch == EDITS[int(batch.id[1:])]
        if batch.id == self.stop_before:
            raise Stop
        self.made.append(batch.id)
        self.optimizers().step()  # type: ignore[union-attr]

    def on_validation_epoch_start(self) -> None:
        self.validated.append((self.global_step, []))

    def validation_step(self, batch: list[Question], batch_idx: int) -> None:
        assert isinstance(batch, list)
        self.validated[-1][1].extend(question.id for question in batch)

    def test_step(self, batch: list[Question], batch_idx: int) -> None:
        assert isinstance(batch, list)
        self.trainer.strategy.barrier()  # an editor may do something together with the other ranks
        self.asked.extend(question.id for question in batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["made"] = list(self.made)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.made = list(checkpoint["made"])


def checkpointing(folder: Path, every: int) -> ModelCheckpoint:
    return ModelCheckpoint(folder, filename="edit={step}", every_n_train_steps=every, save_last=True, save_top_k=-1)


def interrupted(folder: Path, stop_before: str, every: int, workers: int = 0, **options: Any) -> Recorder:
    """Crash before an edit, start over from the last checkpoint; the module that was resumed."""
    first = Recorder(stop_before)
    trainer = Trainer(**{**QUIET, **options}, callbacks=[checkpointing(folder, every)])
    with pytest.raises(Stop):
        trainer.fit(first, EditStreamDataModule(EDITS, num_workers=workers))
    second = Recorder()
    trainer = Trainer(**{**QUIET, **options}, callbacks=[checkpointing(folder, every)])
    trainer.fit(second, EditStreamDataModule(EDITS, num_workers=workers), ckpt_path=str(folder / "last.ckpt"))
    assert trainer.global_step == len(EDITS)
    return second


def test_one_batch_is_one_edit_is_one_step() -> None:
    module, trainer = Recorder(), Trainer(**QUIET, enable_checkpointing=False)
    trainer.fit(module, EditStreamDataModule(EDITS))
    assert module.made == [edit.id for edit in EDITS]
    assert trainer.global_step == len(EDITS)


@pytest.mark.parametrize(("stop_before", "every", "workers"), [("e1", 1, 0), ("e6", 1, 0), ("e8", 4, 0), ("e6", 2, 2)])
def test_resumed_equals_uninterrupted(tmp_path: Path, stop_before: str, every: int, workers: int) -> None:
    """Finding 5: a plain loader would apply the stream from its first edit again."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = interrupted(tmp_path, stop_before, every, workers)
    assert module.made == [edit.id for edit in EDITS]
    assert not any("not resumable" in str(warning.message) for warning in caught)


def test_resuming_a_finished_stream_edits_nothing_twice(tmp_path: Path) -> None:
    trainer = Trainer(**QUIET, callbacks=[checkpointing(tmp_path, 1)])
    trainer.fit(Recorder(), EditStreamDataModule(EDITS))
    # "last" was written inside the last batch, before the epoch was counted: the hardest place to resume from.
    module, trainer = Recorder(), Trainer(**QUIET, enable_checkpointing=False)
    trainer.fit(module, EditStreamDataModule(EDITS), ckpt_path=str(tmp_path / f"edit=step={len(EDITS)}.ckpt"))
    assert module.made == [edit.id for edit in EDITS]
    assert trainer.global_step == len(EDITS)


def test_another_stream_is_refused_and_another_fit_starts_over(tmp_path: Path) -> None:
    data = EditStreamDataModule(EDITS[:4])
    trainer = Trainer(**QUIET, callbacks=[checkpointing(tmp_path, 2)])
    trainer.fit(Recorder(), data)
    with pytest.raises(RecordError, match="another edit stream"):
        EditStreamDataModule(EDITS[1:5]).load_state_dict(data.state_dict())
    assert data.state_dict()["processed"] == 4
    again = Recorder()
    Trainer(**QUIET, enable_checkpointing=False).fit(again, data)
    assert len(again.made) == 4


def test_duplicate_edit_id() -> None:
    with pytest.raises(RecordError, match="edit e0: duplicate"):
        EditStreamDataModule([*EDITS, EDITS[0]])


def test_suites_are_asked_by_picture() -> None:
    data = EditStreamDataModule([], {"acc": QUESTIONS[:9], "loc": QUESTIONS[9:]}, batch_size=2)
    module = Recorder()
    Trainer(**QUIET, enable_checkpointing=False).test(module, data, verbose=False)
    assert sorted(module.asked) == sorted(question.id for question in QUESTIONS)
    assert [len(batch) for batch in data.test_dataloader()] == [2, 2, 2, 2, 1, 2, 2]


def test_validation_asks_about_edits_made() -> None:
    data = EditStreamDataModule(EDITS, QUESTIONS, batch_size=3, probe_edits=2, seed=3)
    module = Recorder()
    Trainer(**QUIET, enable_checkpointing=False, val_check_interval=3).fit(module, data)
    assert [step for step, _ in module.validated] == [3, 6, 9]
    for step, asked in module.validated:
        edits = [int(name[1:]) for name in asked if name.startswith("e")]
        assert len(edits) == 2
        assert max(edits) < step
        assert sorted(name for name in asked if name.startswith("l")) == ["l0", "l1", "l2", "l3"]


# --- two ranks ------------------------------------------------------------------------------------------------------


def on_a_rank(rank: int, port: int, folder: str) -> None:
    """What each of two processes does; what it saw goes into ``folder/{rank}.json``."""
    import rv_edit.editors.strategy  # noqa: F401 - registers the strategy "replica"

    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE="2", RANK=str(rank), LOCAL_RANK=str(rank),
        GROUP_RANK="0", LOCAL_WORLD_SIZE="2", TORCHELASTIC_RUN_ID="test",
    )  # fmt: skip

    options: dict[str, Any] = {"devices": 2, "strategy": "replica"}
    seen: dict[str, Any] = {}
    resumed = interrupted(Path(folder) / "checkpoints", "e6", 4, **options)
    seen["made"] = resumed.made
    for name, questions in (("all", QUESTIONS), ("five", QUESTIONS[:5]), ("one", QUESTIONS[:1])):
        module = Recorder()
        trainer = Trainer(**QUIET, **options, enable_checkpointing=False)
        trainer.test(module, EditStreamDataModule([], questions, batch_size=2), verbose=False)
        seen[name] = module.asked
    data = EditStreamDataModule(EDITS, QUESTIONS, batch_size=2, probe_edits=3)
    module = Recorder()
    Trainer(**QUIET, **options, enable_checkpointing=False, val_check_interval=9).fit(module, data)
    seen["probe"] = module.validated[-1][1]
    shuffling = Trainer(**{**QUIET, "use_distributed_sampler": True}, **options, enable_checkpointing=False)
    try:
        shuffling.fit(Recorder(), EditStreamDataModule(EDITS))
    except RecordError as error:
        seen["refused"] = str(error)
    (Path(folder) / f"{rank}.json").write_text(json.dumps(seen))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two gloo ranks saw of one stream and of its questions."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = mp.spawn(on_a_rank, args=(port, str(folder)), nprocs=2, join=False)
    deadline = time.monotonic() + 300
    while not processes.join(timeout=5):
        if time.monotonic() > deadline:
            for process in processes.processes:
                process.kill()
            pytest.fail("the ranks wait for each other")
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.DDP
def test_both_ranks_make_every_edit_in_order_after_a_crash_too(ranks: list[dict[str, Any]]) -> None:
    """Findings 3 and 5: Lightning would deal the edits out, shuffled and padded, and replay them."""
    assert ranks[0]["made"] == ranks[1]["made"] == [edit.id for edit in EDITS]


@pytest.mark.DDP
@pytest.mark.parametrize(("name", "count"), [("all", 13), ("five", 5), ("one", 1)])
def test_questions_are_shared_out_unpadded(ranks: list[dict[str, Any]], name: str, count: int) -> None:
    """Finding 8: five questions on two ranks are five answers, not six; a rank without any does not hang."""
    asked = ranks[0][name] + ranks[1][name]
    assert sorted(asked) == sorted(question.id for question in QUESTIONS[:count])
    assert abs(len(ranks[0][name]) - len(ranks[1][name])) <= 2
    assert {"l0", "l1"} <= set(ranks[0]["all"]) or {"l0", "l1"} <= set(ranks[1]["all"])


@pytest.mark.DDP
def test_the_probe_is_one_draw_for_all_ranks(ranks: list[dict[str, Any]]) -> None:
    asked = ranks[0]["probe"] + ranks[1]["probe"]
    assert len(asked) == len(set(asked)) == 3 + 4


@pytest.mark.DDP
def test_lightnings_sampler_is_refused(ranks: list[dict[str, Any]]) -> None:
    assert all("use_distributed_sampler=false" in rank["refused"] for rank in ranks)
