"""The edit stream and the evaluation questions as a LightningDataModule.

One training batch is one edit, in order, on every rank: editing is a replicated state machine. Evaluation
questions are sharded. Both rely on ``Trainer(use_distributed_sampler=False)`` and refuse to run without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from data_modules.records import Edit, Question, RecordError
from data_modules.samplers import ImageBatches, StreamSampler, draw_probe


class EditDataset(Dataset[Edit]):
    """Edits by their place in the stream."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self.edits = edits

    def __len__(self) -> int:
        return len(self.edits)

    def __getitem__(self, index: int) -> Edit:
        return self.edits[index]


class SuiteDataset(Dataset[Question]):
    """The questions of all suites, one after the other."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = questions

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: int) -> Question:
        return self.questions[index]


class StreamLoader(DataLoader[Edit]):
    """The stream's loader; it carries the count of edits made, so that Lightning knows it to be resumable."""

    def __init__(self, edits: Sequence[Edit], start: int, processed: Callable[[], int], **options: Any) -> None:
        super().__init__(
            EditDataset(edits), batch_size=1, sampler=StreamSampler(len(edits), start), collate_fn=_only, **options
        )
        self._processed = processed

    def state_dict(self) -> dict[str, int]:
        """Edits made so far."""
        return {"processed": self._processed()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Begin the next pass behind the edits made."""
        if isinstance(self.sampler, StreamSampler):
            self.sampler.start = int(state["processed"])


class EditStreamDataModule(LightningDataModule):
    """``fit`` feeds the edits one by one, ``test`` asks all questions, ``validate`` a probe of those edits made.

    A training batch is an :class:`Edit`, an evaluation batch a list of :class:`Question` (an empty one where a rank
    has fewer batches than the others). A checkpoint written after edit *k* continues with edit *k + 1*.

    Args:
        edits: the stream.
        questions: of all suites, or per suite as ``build_suites`` returns them.
        batch_size: most questions an evaluation batch.
        num_workers: of the loaders; pictures are decoded by whoever needs them, so 0 is right almost always.
        probe_edits: sequential editing (paper 4.4): number of random edits, among those made so far, whose
            questions a validation asks, besides all that belong to no edit; ``None``: no validation.
        seed: of the probes.

    Raises:
        RecordError: two edits with the same id.
    """

    def __init__(
        self,
        edits: Sequence[Edit],
        questions: Sequence[Question] | dict[str, list[Question]] = (),
        *,
        batch_size: int = 32,
        num_workers: int = 0,
        probe_edits: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.edits = list(edits)
        nested = questions.values() if isinstance(questions, dict) else [questions]
        self.questions = [question for group in nested for question in group]
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.probe_edits = probe_edits
        self.seed = seed
        self._resumed = 0
        seen: set[str] = set()
        for edit in self.edits:
            if edit.id in seen:
                raise RecordError(f"edit {edit.id}: duplicate edit id; every edit of a stream needs its own")
            seen.add(edit.id)

    @property
    def stream_hash(self) -> str:
        """Identifies the stream: its edits' ids, pictures, questions and answers, in order."""
        parts = [f"{edit.id}\0{edit.image.sha}\0{edit.question}\0{edit.answer}" for edit in self.edits]
        return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()

    @property
    def processed(self) -> int:
        """Edits of this pass that are made, those before an interruption among them."""
        if self.trainer is None:
            return self._resumed
        current: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return int(current.processed) or self._resumed

    def train_dataloader(self) -> StreamLoader:
        """The stream from where it stopped, one edit a batch, the same on every rank."""
        self._refuse_foreign_samplers()
        return StreamLoader(self.edits, self._resumed, lambda: self.processed, num_workers=self.num_workers)

    def test_dataloader(self) -> DataLoader[Question]:
        """All questions, this rank's share."""
        return self._questions_loader(None)

    def val_dataloader(self) -> DataLoader[Question] | list[Any]:
        """The probe questions for the edits made at the time of each pass, this rank's share."""
        return [] if self.probe_edits is None else self._questions_loader(self._probe)

    def teardown(self, stage: str) -> None:
        """Another ``fit`` without a checkpoint begins at the first edit."""
        if stage == "fit":
            self._resumed = 0

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """Records stay where they are: they hold no tensors, and being frozen they cannot be rebuilt."""
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Edits made and the identity of the stream."""
        return {"processed": self.processed, "stream": self.stream_hash}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue behind the edits made.

        Raises:
            RecordError: the checkpoint belongs to another stream.
        """
        if state_dict["stream"] != self.stream_hash:
            raise RecordError("the checkpoint belongs to another edit stream; use the data set, seed and edits it had")
        self._resumed = int(state_dict["processed"])

    def _probe(self) -> list[int]:
        assert self.probe_edits is not None
        drawn = set(draw_probe(self.edits, self.processed, self.probe_edits, self.seed))
        return [
            position
            for position, question in enumerate(self.questions)
            if question.edit_id is None or question.edit_id in drawn
        ]

    def _questions_loader(self, select: Callable[[], Sequence[int]] | None) -> DataLoader[Question]:
        self._refuse_foreign_samplers()
        rank = 0 if self.trainer is None else self.trainer.global_rank
        world = 1 if self.trainer is None else self.trainer.world_size
        batches = ImageBatches(self.questions, self.batch_size, rank, world, select)
        return DataLoader(
            SuiteDataset(self.questions), batch_sampler=batches, collate_fn=list, num_workers=self.num_workers
        )

    def _refuse_foreign_samplers(self) -> None:
        """Lightning would shuffle the stream and pad the shards without an error (issues 10170, 21131)."""
        if self.trainer is None or self.trainer.world_size == 1:
            return
        connector = getattr(self.trainer, "_accelerator_connector", None)
        if getattr(connector, "use_distributed_sampler", False):
            raise RecordError("several devices need trainer.use_distributed_sampler=false, else edits are shuffled")


def _only(batch: list[Edit]) -> Edit:
    """A batch of one edit is that edit."""
    (edit,) = batch
    return edit
