"""Edits prepared ahead by several ranks: byte for byte those of one process, each prepared once, in stream order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from data_modules.probing import Probing
from data_modules.records import Edit, ImageRef, RecordError
from rv_edit.augment import ImageAugmenter, RadiusEstimator
from rv_edit.codebook import Codebook
from rv_edit.editors.ahead import Ahead
from rv_edit.editors.answering import Asking
from rv_edit.editors.callbacks import ReplicaGuard
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.editors.sequential import SequentialModule
from rv_edit.embedding import DualEmbedding, KeySpace, TextEncoder
from rv_edit.evidence import EvidenceSelector
from rv_edit.vlm import load_vlm
from tests.editors.conftest import make_edit, question
from tests.helpers_ddp import run_ddp

EDITS = [make_edit(index, facts=1) for index in range(5)]
EDITS[3] = replace(EDITS[3], image=ImageRef.from_bytes(b"no picture"))
"""Five, which neither two nor three ranks share evenly; one cannot be used."""
USABLE = [edit for edit in EDITS if edit.id != "edit3"]
QUESTIONS = [edit.as_question() for edit in USABLE] + [question(index) for index in range(4)]
FILES = ("codebook.safetensors", "codebook.jsonl")


def editor(vlm: str, encoder: str) -> ReasonEdit:
    embedding = DualEmbedding(
        load_vlm(vlm), TextEncoder(encoder), KeySpace(layer=1, lam=1.0, vision_norm=1.0, text_norm=1.0)
    )
    return ReasonEdit(
        embedding,
        Codebook(embedding.dim, embedding.fingerprint, merge="either"),
        RadiusEstimator(embedding, ImageAugmenter(), variants=2),
        EvidenceSelector(embedding.vlm, grid=2),
        asking=Asking(batch_size=4, image_batch_size=3),
        reasoning_keys="both",
    )


def told(made: ReasonEdit, refused: Sequence[str], module: SequentialModule, folder: Path) -> dict[str, Any]:
    """Everything that must not depend on who did what."""
    made.save(folder)
    return {
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES},
        "edits": made.edit_ids,
        "refused": list(refused),
        "round": replace(module._round(len(EDITS)), seconds_per_edit=None),
    }


def on_rank(rank: int, world: int, start: int, vlm: str, encoder: str, folder: str) -> dict[str, Any]:
    made, calls, refused = editor(vlm, encoder), [], []
    prepare = made.prepare

    def counted(edit: Edit) -> Any:
        calls.append(edit.id)
        return prepare(edit)

    module = SequentialModule(made, EDITS, 0, QUESTIONS, Probing(5, 4, 0), batch_size=2)
    for edit in EDITS[:start]:
        made.edit(edit)
    made.prepare = counted  # type: ignore[method-assign]
    ahead = Ahead(made, EDITS)
    for place in range(start, len(EDITS)):
        try:
            ahead.make(place)
        except RecordError as error:
            refused.append(str(error))
    return {"calls": calls, **told(made, refused, module, Path(folder) / f"rank{rank}")}


@pytest.fixture(scope="module")
def alone(vlm_folder: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    made, refused = editor(str(vlm_folder), str(encoder_folder)), []
    for edit in EDITS:
        try:
            made.edit(edit)
        except RecordError as error:
            refused.append(str(error))
    module = SequentialModule(made, EDITS, 0, QUESTIONS, Probing(5, 4, 0), batch_size=2)
    return told(made, refused, module, tmp_path_factory.mktemp("alone"))


@pytest.mark.DDP
@pytest.mark.parametrize(
    ("world", "start", "shares"),
    [
        (2, 0, [["edit0", "edit2", "edit4"], ["edit1", "edit3"]]),
        (3, 0, [["edit0", "edit3"], ["edit1", "edit4"], ["edit2"]]),
        (2, 1, [["edit1", "edit3"], ["edit2", "edit4"]]),  # as after an interruption
    ],
)
def test_several_ranks_are_one_process(
    alone: dict[str, Any],
    vlm_folder: Path,
    encoder_folder: Path,
    tmp_path: Path,
    world: int,
    start: int,
    shares: list[list[str]],
) -> None:
    """The codebook's files, the refused edit, and the answers, which they share out too."""
    found = run_ddp(on_rank, world, start, str(vlm_folder), str(encoder_folder), str(tmp_path), timeout=900)
    assert [rank.pop("calls") for rank in found] == shares
    for rank in found:
        assert rank == alone
    assert alone["refused"] and alone["round"].metrics["acc"]["n"] + alone["round"].metrics["loc"]["n"] >= 7


class Slow(ReasonEdit):
    """Only what is asked of an editor here."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def prepare(self, edit: Edit) -> Any:
        if self.rank == 1:
            raise MemoryError("no room")
        return edit.id

    def insert(self, edit: Edit, prepared: Any) -> Any:
        raise AssertionError("one rank failed, so no rank may go on")


def failing(rank: int, world: int) -> str:
    try:
        Ahead(Slow(rank), EDITS).make(0)
    except (RuntimeError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


class Holds:
    """What a guard sees of a module."""

    def __init__(self, checksum: str) -> None:
        self.editor = self
        self.capabilities = ReasonEdit.capabilities
        self.checksum = lambda: checksum


class Steps:
    """What a guard sees of a trainer."""

    world_size = 3
    global_step = 4


def guarded(rank: int, world: int, odd: int) -> str:
    guard = ReplicaGuard(every_n_edits=2)
    run: Any = Steps()
    module: Any = Holds("other" if rank == odd else "same")
    guard.on_train_batch_end(run, module, None, None, 0)  # edit 1: nothing is compared
    try:
        guard.on_train_batch_end(run, module, None, None, 1)
    except RuntimeError as error:
        return str(error)
    return ""


def trouble(rank: int, world: int) -> tuple[str, ...]:
    return failing(rank, world), guarded(rank, world, odd=2), guarded(rank, world, odd=0), guarded(rank, world, odd=-1)


@pytest.mark.DDP
def test_a_rank_in_trouble_is_named_on_every_rank() -> None:
    """One that fails, and one whose codebook differs."""
    found = run_ddp(trouble, 3, timeout=600)
    failed, last, first, none = zip(*found, strict=True)
    assert failed[1] == "MemoryError: no room"
    assert failed[0] == failed[2] == "RuntimeError: rank 1 failed while it prepared edit edit1 (MemoryError: no room)"
    assert len(set(last)) == 1 and "after 4 edits rank 2 holds other edits than rank 0, 1" in last[0]
    assert len(set(first)) == 1 and "rank 0 holds other edits than rank 1, 2" in first[0]
    assert none == ("", "", "")


def test_one_process_prepares_nothing_ahead(vlm_folder: Path, encoder_folder: Path) -> None:
    """What :meth:`prepare` found goes in later, whatever went in meanwhile."""
    made, other = (editor(str(vlm_folder), str(encoder_folder)) for _ in range(2))
    ready = [made.prepare(edit) for edit in USABLE]
    for edit, prepared in zip(USABLE, ready, strict=True):
        receipt = made.insert(edit, prepared)
        assert {**asdict(receipt), "seconds": 0} == {**asdict(other.edit(edit)), "seconds": 0}
    assert made.checksum() == other.checksum()
    with pytest.raises(RecordError, match="already in the codebook"):
        made.insert(USABLE[0], ready[0])
