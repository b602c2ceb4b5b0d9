"""What every editor of ``conf/editor`` promises, tested on all of them; a new file there is tested by itself."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from data_modules.records import Answer, ImageRef, Question, RecordError
from data_modules.stream import EditStreamDataModule
from rv_edit.editors.answering import Asking
from rv_edit.editors.base import Editor
from rv_edit.editors.callbacks import EditCheckpoint
from rv_edit.editors.module import EditorModule
from rv_edit.editors.unedited import Unedited
from rv_edit.embedding import KeySpace
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.editors.collected import NAMES, PROMISES, build, capabilities, cells, page, promise
from tests.editors.conftest import make_edit, question
from tests.editors.stopping import Stopped, StopsBefore
from tests.helpers_ddp import run_ddp
from tests.source_tree import ROOT

SKIPPED = 41
"""Cells of ``docs/editor_contract.md`` with a promise that does not concern the editor; a new editor changes it."""

EDITS = [make_edit(index) for index in range(3)]


@pytest.fixture(scope="session")
def overrides(vlm_folder: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("every")
    space = KeySpace(layer=1, lam=1.0, vision_norm=1.0, text_norm=1.0).save(folder / "key_space.json")
    return [
        f"model.vlm.name={vlm_folder}",
        f"model.text_encoder={encoder_folder}",
        f"model.key_space={space}",
        "dataset.source._target_=tests.run.tiny_data.load",
        "dataset.tuning._target_=tests.run.tiny_data.load",
        "~dataset.tuning.split",
        "+dataset.tuning.size=24",
        "dataset.rewording=tests.run.tiny_data.reword",
        f"cache={folder}",
    ]


def edited(name: str, overrides: list[str], edits: Sequence[int] = (0, 1, 2)) -> Editor:
    editor = build(name, overrides)
    for index in edits:
        editor.edit(EDITS[index])
    return editor


def asked() -> list[Question]:
    """Edited questions, others on an edited picture, several on one picture, unrelated ones."""
    own = [edit.as_question() for edit in EDITS]
    return [*own, question(0, image=0), question(1, image=0), *(question(20 + index) for index in range(4))]


def scores(answers: Sequence[Answer]) -> np.ndarray:
    return np.array([score for answer in answers for score in answer.scores])


def unedited(editor: Editor, questions: Sequence[Question]) -> list[Answer]:
    return Unedited(editor.vlm, Asking(batch_size=4, image_batch_size=3)).answer(questions)


def weights(vlm: VLM) -> str:
    digest = hashlib.sha256()
    for name, value in vlm.model.state_dict().items():
        digest.update(name.encode() + value.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@promise("nothing", "without an edit it answers bit for bit as the unedited model")
def test_without_an_edit_it_is_the_unedited_model(name: str, overrides: list[str]) -> None:
    editor = build(name, overrides)
    assert [answer.scores for answer in editor.answer(asked())] == [
        answer.scores for answer in unedited(editor, asked())
    ]
    assert editor.edit_ids == () and editor.nbytes == 0


@promise("edits", "an edit takes: its question is answered with other scores")
def test_an_edit_takes(name: str, overrides: list[str]) -> None:
    editor = build(name, overrides)
    receipt = editor.edit(EDITS[0])
    asked = [EDITS[0].as_question()]
    before, after = unedited(editor, asked)[0], editor.answer(asked)[0]
    assert not np.allclose(before.scores, after.scores, atol=1e-2)
    assert editor.edit_ids == (EDITS[0].id,) and receipt.edit_id == EDITS[0].id and receipt.seconds > 0
    assert receipt.bytes_added == editor.nbytes > 0
    if editor.capabilities.changes_weights:  # trained to say it, so it must be likelier than it was
        lead = [np.subtract(scores, max(scores)) for scores in (before.scores, after.scores)]
        assert lead[1][EDITS[0].target] > lead[0][EDITS[0].target] or after.prediction == EDITS[0].target


@promise("weights_stay", "the model's own weights stay byte-identical")
def test_base_weights_stay(name: str, overrides: list[str]) -> None:
    editor = build(name, overrides)
    before = weights(editor.vlm)
    for edit in EDITS:
        editor.edit(edit)
    editor.answer(asked())
    assert weights(editor.vlm) == before
    assert not any(parameter.requires_grad for parameter in editor.vlm.model.parameters())


@promise("weights_return", "with the last edit undone, the weights are the model's own, byte for byte")
def test_base_weights_return(name: str, overrides: list[str]) -> None:
    editor = build(name, overrides)
    before = weights(editor.vlm)
    for edit in EDITS:
        editor.edit(edit)
    editor.answer(asked())
    for edit in reversed(EDITS):
        editor.undo(edit.id)
    assert weights(editor.vlm) == before
    assert [answer.scores for answer in editor.answer(asked())] == [
        answer.scores for answer in unedited(editor, asked())
    ]


@promise("undo", "undoing any edit leaves the state as if it had never been made")
def test_undo_is_as_if_never_made(name: str, overrides: list[str]) -> None:
    for undone in (2, 1, 0):
        editor = edited(name, overrides)
        left = [index for index in range(3) if index != undone]
        reference = edited(name, overrides, left)
        editor.undo(EDITS[undone].id)
        assert editor.edit_ids == reference.edit_ids and editor.checksum() == reference.checksum()
        assert np.array_equal(scores(editor.answer(asked())), scores(reference.answer(asked())))
        with pytest.raises(RecordError, match=EDITS[undone].id):
            editor.undo(EDITS[undone].id)
        editor.edit(EDITS[undone])
        assert editor.edit_ids[-1] == EDITS[undone].id


@promise("edits", "state and saved folder give the same answers again, and go on alike")
def test_saved_and_loaded_answers_the_same(name: str, overrides: list[str], tmp_path: Path) -> None:
    editor, whole = edited(name, overrides, (0, 1)), edited(name, overrides)
    buffer = io.BytesIO()
    torch.save(editor.state_dict(), buffer)
    buffer.seek(0)
    assert editor.save(tmp_path / "edits") == tmp_path / "edits"
    assert list((tmp_path / "edits").glob("*.safetensors"))
    by_state, by_folder = build(name, overrides), edited(name, overrides, (2,))
    by_state.load_state_dict(torch.load(buffer, weights_only=True))
    by_folder.load(tmp_path / "edits")
    for other in (by_state, by_folder):
        assert other.edit_ids == editor.edit_ids and other.checksum() == editor.checksum()
        assert np.array_equal(scores(other.answer(asked())), scores(editor.answer(asked())))
        other.edit(EDITS[2])
        assert other.checksum() == whole.checksum()
    with pytest.raises(ConfigError) as caught:
        by_state.load(tmp_path / "nothing")
    assert "\n" not in str(caught.value)


def trainer(folder: Path, *callbacks: Callback) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        max_epochs=1,
        default_root_dir=folder,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=bool(callbacks),
        use_distributed_sampler=False,
    )


@promise("edits", "interrupted and resumed from a checkpoint it is as if it had not been interrupted")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_resumed_is_uninterrupted(name: str, overrides: list[str], tmp_path: Path) -> None:
    dying = trainer(tmp_path, EditCheckpoint(1, str(tmp_path)), StopsBefore(2))
    with pytest.raises(Stopped):
        dying.fit(EditorModule(build(name, overrides)), datamodule=EditStreamDataModule(EDITS))
    module = EditorModule(build(name, overrides))
    trainer(tmp_path).fit(module, datamodule=EditStreamDataModule(EDITS), ckpt_path=str(tmp_path / "last.ckpt"))
    assert [receipt.edit_id for receipt in module.receipts] == [edit.id for edit in EDITS]
    assert module.editor.checksum() == edited(name, overrides).checksum()
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert saved and all(key.startswith("memory.") for key in saved)


@promise("edits", "batched is one by one, in any order (to 1e-4)")
def test_batched_is_one_by_one(name: str, overrides: list[str]) -> None:
    editor = edited(name, overrides)
    together = editor.answer(asked())
    alone = [editor.answer([item])[0] for item in asked()]
    backwards = editor.answer(asked()[::-1])[::-1]
    for other in (alone, backwards):
        assert [answer.question_id for answer in other] == [item.id for item in asked()]
        assert [answer.accepted for answer in other] == [answer.accepted for answer in together]
        assert [answer.facts for answer in other] == [answer.facts for answer in together]
        assert np.allclose(scores(other), scores(together), atol=1e-4)


@promise("edits", "an edit that cannot be used changes nothing")
def test_bad_edits_change_nothing(name: str, overrides: list[str]) -> None:
    editor = edited(name, overrides, (0,))
    state = editor.checksum()
    broken = replace(EDITS[1], image=ImageRef.from_bytes(b"no picture"))
    endless = replace(EDITS[1], question="word " * 2000, reasoning=("word " * 2000,))
    for bad in (EDITS[0], broken, endless):
        with pytest.raises(RecordError) as caught:
            editor.edit(bad)
        assert "\n" not in str(caught.value)
    assert editor.checksum() == state and editor.edit_ids == (EDITS[0].id,)


@promise("edits", "same edits, same state, whatever is asked in between")
def test_same_edits_same_state(name: str, overrides: list[str]) -> None:
    one, two = edited(name, overrides), build(name, overrides)
    for edit in EDITS:
        torch.rand(3)
        two.answer(asked()[:4])
        two.edit(edit)
    assert one.checksum() == two.checksum()


@promise("scope", "scope is decided by picture and words alone: no choice and no answer reaches a query")
def test_scope_is_decided_by_the_question(name: str, overrides: list[str]) -> None:
    editor = edited(name, overrides)
    others = [replace(item, choices=("ten", "two", "red dog"), target=2) for item in asked()]
    answers = editor.answer(asked())
    assert any(answer.accepted for answer in answers)
    for one, two in zip(answers, editor.answer(others), strict=True):
        assert one.accepted is not None
        assert (one.accepted, one.distances, one.facts) == (two.accepted, two.distances, two.facts)


@promise("scope", "a question that no edit concerns keeps its scores (to 1e-4)")
def test_out_of_scope_keeps_its_scores(name: str, overrides: list[str]) -> None:
    editor = edited(name, overrides)
    questions = [replace(question(index), text=f"Zebra {'dog lamp ' * index}on the sand") for index in range(8)]
    outside = [item for item, answer in zip(questions, editor.answer(questions), strict=True) if not answer.accepted]
    assert outside, "all unrelated questions were accepted: nothing is tested"
    assert np.allclose(scores(editor.answer(outside)), scores(unedited(editor, outside)), atol=1e-4)


def on_a_rank(rank: int, world: int, names: tuple[str, ...], overrides: list[str]) -> dict[str, str]:
    """Checksums after three edits, shared as a run shares them."""
    sums = {}
    for name in names:
        editor = build(name, overrides)
        for edit in EDITS:
            torch.rand(rank + 1)
            editor.edit(edit)
            if rank and editor.capabilities.changes_weights:  # as accelerators may round differently
                for tensor in vars(editor.memory)["tensors"].values():
                    tensor.data.add_(1e-4)
            editor.replicate()
        sums[name] = editor.checksum()
    return sums


@pytest.fixture(scope="session")
def ranks(overrides: list[str], request: pytest.FixtureRequest) -> list[dict[str, str]]:
    """All editors whose turn comes, in one pair of processes."""
    chosen = {
        item.callspec.params["name"]
        for item in request.session.items
        if getattr(item, "originalname", "") == test_two_ranks_are_one_process.__name__ and item.path == Path(__file__)
    }
    names = tuple(sorted(chosen))
    for name in names:
        build(name, overrides)  # what is trained once is trained before
    return run_ddp(on_a_rank, 2, names, overrides, timeout=900.0)


@pytest.mark.DDP
@promise("same_on_ranks", "two ranks hold what one process does")
def test_two_ranks_are_one_process(name: str, overrides: list[str], ranks: list[dict[str, str]]) -> None:
    assert ranks[0][name] == ranks[1][name] == edited(name, overrides).checksum()


@pytest.mark.parametrize("name", NAMES)
def test_what_it_cannot_do_is_refused_in_words(name: str, overrides: list[str]) -> None:
    editor, can = build(name, overrides), capabilities(name)
    if not can.edits:
        with pytest.raises(ConfigError, match=name):
            editor.edit(EDITS[0])
    if not can.undo:
        with pytest.raises(ConfigError, match="cannot undo"):
            editor.undo(EDITS[0].id)


def test_the_table_is_the_committed_one_and_skips_are_counted() -> None:
    assert (ROOT / "docs/editor_contract.md").read_text(encoding="utf-8") == page(), (
        "run: python -m tests.editors.collected > docs/editor_contract.md"
    )
    assert sum(not concerned for _, _, concerned in cells()) == SKIPPED
    assert len(cells()) == len(PROMISES) * len(NAMES)
