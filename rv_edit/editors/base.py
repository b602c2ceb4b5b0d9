"""The contract of every editor: a plain object that takes edits, answers questions and forgets edits again.

It needs no Trainer, so a notebook, a page and a test use the object that a run uses. It knows nothing of data
sets, suites or metrics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from data_modules.records import Answer, Edit, EditReceipt, ImageRef, Question, RecordError
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from rv_edit.editors.answering import Asking
    from rv_edit.vlm import VLM


class EditDivergedError(RecordError):
    """An edit whose training became nan or infinite: nothing was changed. One line: which, where, what to do."""


@dataclass(frozen=True)
class Capabilities:
    """What an editor can do, for the parts that must not guess.

    Attributes:
        edits: takes edits at all (the unedited model does not).
        undo: :meth:`Editor.undo` restores the state without an edit, whichever it was.
        shares_keys_across_ranks: same edits in the same order give the same bytes on every rank, so that the
            state is replicated rather than gathered.
        changes_weights: answers are given by changed weights. ``False`` promises that the VLM's own stay
            byte-identical; where ``True``, they are byte-identical again once the last edit is undone.
        decides_scope: decides for each question whether an edit concerns it; any other keeps its scores.
        prepares_ahead: :meth:`Editor.prepare` does most of an edit's work, and needs none of the other edits.
    """

    edits: bool = True
    undo: bool = False
    shares_keys_across_ranks: bool = True
    changes_weights: bool = False
    decides_scope: bool = True
    prepares_ahead: bool = False


@dataclass(frozen=True)
class EditorContext:
    """What a run gives every editor; options of its own come from ``conf/editor``.

    Attributes:
        vlm: the frozen model.
        asking: how questions are scored and batched.
        sample: readable pictures of the data set with their questions, in an order drawn by seed: tiles of
            augmented pictures, calibration.
        seed: of the run.
        codebook: folder of a saved codebook that the run goes on with.
        cache: folder of what earlier runs measured.
    """

    vlm: VLM
    asking: Asking
    sample: Sequence[tuple[ImageRef, str]] = ()
    seed: int = 0
    codebook: Path | None = None
    cache: str | None = None


class Editor(ABC):
    """An edited VLM (paper 3.1): takes one edit at a time and answers multiple-choice questions.

    Args:
        vlm: the frozen model.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(self, vlm: VLM) -> None:
        self.vlm = vlm

    @classmethod
    @abstractmethod
    def from_context(cls, context: EditorContext, **options: Any) -> Editor:
        """Build from what the run provides and the options of ``conf/editor/<name>.yaml``.

        Raises:
            ConfigError: an option out of range.
        """

    @property
    def memory(self) -> nn.Module | None:
        """What edits change and checkpoints hold; ``None`` where nothing is stored."""
        return None

    @property
    def edit_ids(self) -> tuple[str, ...]:
        """The edits in force, in the order in which they were made."""
        return ()

    @property
    def num_keys(self) -> int:
        """Entries stored."""
        return 0

    @property
    def nbytes(self) -> int:
        """Bytes that the edits take up in memory."""
        return 0

    @abstractmethod
    def edit(self, edit: Edit) -> EditReceipt:
        """Make one edit.

        Raises:
            RecordError: the edit cannot be used; nothing was changed. Of it, :class:`EditDivergedError` where training
                gave a number that is not finite.
        """

    def prepare(self, edit: Edit) -> Any:
        """What ``edit`` needs that depends on the frozen model and on the edit alone, so that another rank can find it.

        Returns:
            Anything that pickles and lies on no device, for :meth:`insert`.

        Raises:
            RecordError: the edit cannot be used.
        """
        return None

    def insert(self, edit: Edit, prepared: Any) -> EditReceipt:
        """Make an edit for which :meth:`prepare` was called, here or on another rank; else as :meth:`edit`."""
        return self.edit(edit)

    @abstractmethod
    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer ``questions``, in their order; each as if it were asked alone (to 1e-4 in the scores)."""

    def undo(self, edit_id: str) -> None:
        """Restore the state as if ``edit_id`` had never been made."""
        raise ConfigError(f"{type(self).__name__} cannot undo an edit; choose an editor that can")

    def calibrate(self, questions: Sequence[Question]) -> None:
        """Learn from questions that no edit concerns where scope ends; most editors need not."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Everything edits changed, as :meth:`load_state_dict` takes it."""
        return {} if self.memory is None else dict(self.memory.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the edits in force by those of ``state``."""
        if self.memory is not None:
            self.memory.load_state_dict(dict(state))

    def replicate(self) -> None:
        """After an edit that all ranks made: give each the first one's state; nothing where they cannot differ."""
        return None

    def checksum(self) -> str:
        """A hash of what edits changed, equal on every rank that made the same edits."""
        return ""

    def save(self, folder: Path) -> Path | None:
        """Write the edits to ``folder``; ``None`` where there is nothing to write."""
        return None

    def load(self, folder: Path) -> None:
        """Continue from what :meth:`save` wrote.

        Raises:
            ConfigError: nothing readable there, or it belongs to another model or key space.
        """
        raise ConfigError(f"codebook={folder}: {type(self).__name__} stores no codebook; leave the option out")
