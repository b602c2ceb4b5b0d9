"""What GRACE and BalancEdit have in common: an edit becomes entries, a question in an entry's scope gets its value.

No weight changes. A key sees picture and question alone; the right answer occurs only in what a value is trained on.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from data_modules.records import Answer, Edit, EditReceipt, Question, RecordError
from rv_edit.codebook.entries import normal_form, plain_json
from rv_edit.editors.answering import Asking, answer_questions
from rv_edit.editors.base import Capabilities, Editor
from rv_edit.editors.entry_memory import EntryMemory, Item
from rv_edit.editors.placing import Rule, Subject
from rv_edit.editors.scope import Change, ScopeHooks
from rv_edit.editors.target_reading import target_ids
from rv_edit.vlm import PromptTooLongError

if TYPE_CHECKING:
    from PIL import Image

    from rv_edit.editors.value_training import Schedule
    from rv_edit.vlm import VLM, ImageFeatures


class EntryEditor(Editor):
    """An editor whose memory is an :class:`EntryMemory` and whose values act on the final feed-forward block.

    Args:
        vlm: the frozen model.
        width: length of a value.
        rule: where a new fact goes.
        schedule: of the training of values.
        asking: how questions are scored and batched.
        seed: of the run.
        rounding: share of a radius that the last bits of a distance may exceed it by.
        rules: further settings that edits depend on, JSON.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(undo=True)
    name: ClassVar[str]
    pooling: ClassVar[str]
    """What a question's key is: ``last | mean`` of the states that enter the block, over the prompt."""

    def __init__(
        self,
        vlm: VLM,
        *,
        width: int,
        rule: Rule,
        schedule: Schedule,
        asking: Asking | None,
        seed: int,
        rounding: float,
        rules: dict[str, Any],
    ) -> None:
        super().__init__(vlm)
        self.asking = asking or Asking()
        self.schedule, self.seed = schedule, seed
        block = vlm.final_mlp()
        meaning = {
            "editor": self.name,
            "model": vlm.fingerprint,
            "preprocessing": vlm.preprocessing,
            "prompt": asdict(vlm.prompts.style),
            "block": next(name for name, module in vlm.model.named_modules() if module is block),
            "key": self.pooling,
        }
        self.entries = EntryMemory(
            int(vlm.text_config.hidden_size),
            width,
            rule=rule,
            trainer=self.train_value,
            fingerprint=plain_json(meaning, self.name),
            rules=plain_json({"seed": seed, "training": asdict(schedule), **rules}, self.name),
            rounding=rounding,
        )

    @property
    def memory(self) -> nn.Module:
        """Keys, radii and values."""
        return self.entries

    @property
    def edit_ids(self) -> tuple[str, ...]:
        """The edits made and not undone, in their order."""
        return self.entries.edit_ids

    @property
    def num_keys(self) -> int:
        """Entries."""
        return len(self.entries)

    @property
    def nbytes(self) -> int:
        """Bytes of keys, radii and values."""
        return self.entries.nbytes

    # -- what an editor supplies -----------------------------------------------------------------------------

    @abstractmethod
    def read_edit(self, edit: Edit, image: Image.Image, feats: ImageFeatures) -> tuple[list[Item], tuple[str, ...]]:
        """The facts of an edit with keys, radii and what training needs; and remarks for its receipt."""

    @abstractmethod
    def train_value(self, item: Item, before: Tensor | None) -> Tensor:
        """The value (width,) that makes the model answer ``item``, from ``before`` on where there is one."""

    @abstractmethod
    def changed_module(self) -> nn.Module:
        """The module whose output a value changes: the final block, or a layer inside it."""

    @abstractmethod
    def change(self) -> Change:
        """How a value changes it."""

    # -- the contract ----------------------------------------------------------------------------------------

    def edit(self, edit: Edit) -> EditReceipt:
        """Store ``edit`` as entries.

        Raises:
            RecordError: the picture cannot be decoded, the id is taken, a text is too long or has no token, or
                training diverged; nothing was changed.
        """
        started = time.perf_counter()
        if edit.id in self.edit_ids:
            raise RecordError(f"edit {edit.id}: already made; undo it first, or give it another id")
        plain_json([edit.id, edit.question, edit.answer, *edit.reasoning], f"edit {edit.id!r}")
        image, size = edit.image.open(), self.nbytes
        try:
            with torch.inference_mode(False):
                items, notes = self.read_edit(edit, image, self.vlm.encode_images([image]))
                stored = self.entries.insert(items)
        except PromptTooLongError as error:
            raise RecordError(f"edit {edit.id}: {error}") from error
        return EditReceipt(
            edit.id,
            keys_added=stored.added,
            keys_merged=stored.joined,
            bytes_added=self.nbytes - size,
            seconds=time.perf_counter() - started,
            superseded=", ".join(stored.superseded) or None,
            notes=notes,
        )

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer each question, with the value of the entry whose scope it is in, if any."""
        return answer_questions(self.vlm, questions, self.asking, scope=self.hooks() if len(self.entries) else None)

    def hooks(self) -> ScopeHooks:
        """What makes the frozen model the edited one while it is open; there must be an entry."""
        return ScopeHooks(self.vlm, self.entries, self.pooling, self.changed_module(), self.change())

    def undo(self, edit_id: str) -> None:
        """Forget an edit, whichever it was; the entries are then those of the other edits in their order.

        Raises:
            RecordError: no such edit.
        """
        self.entries.undo(edit_id)

    def checksum(self) -> str:
        """Hash of all entries and of the edits they come from."""
        return self.entries.checksum()

    def save(self, folder: Path) -> Path:
        """Write ``entries.safetensors`` to ``folder``."""
        return self.entries.save(folder)

    def load(self, folder: Path) -> None:
        """Take up saved entries.

        Raises:
            ConfigError: unreadable, or of another editor, model or settings.
        """
        self.entries.load(folder)


def subject_of(edit: Edit) -> Subject:
    """What an edit is about: two edits on one picture with the same question contradict or repeat each other."""
    return edit.image.sha, normal_form(edit.question)


def label_of(vlm: VLM, edit: Edit, answer: str, rest: str = "") -> tuple[int, ...]:
    """Token ids of what an edit states, and of what follows it.

    Raises:
        RecordError: it has none.
    """
    try:
        return target_ids(vlm, answer, rest)
    except ValueError as error:
        raise RecordError(f"edit {edit.id}: {error}") from error
