"""What FT, LoRA and MEND share: edits that train the final MLP block, one on top of the other (paper D.3).

The model's own weights are never written to. Edits change tensors of a second block that stands in for the final MLP
block while a question is answered, so that what is left after the last undo is the model as it came, to the byte.

An edit keeps its :class:`Trace`, what the frozen part of the model made of it. Undoing the last edit puts back the
tensors before it; undoing an earlier one makes all edits but that one again, from their traces and in their order,
which takes as long as making them did.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch

from data_modules.records import Answer, Edit, EditReceipt, Question, RecordError
from rv_edit.editors import last_block, weight_files
from rv_edit.editors.answering import Asking, answer_questions
from rv_edit.editors.base import Capabilities, EditDivergedError, Editor
from rv_edit.editors.descent import DivergedError
from rv_edit.editors.last_block import Trace
from rv_edit.editors.weight_memory import WeightMemory
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rv_edit.vlm import VLM, Target

ANSWER = "{answer}"
"""What every target begins with."""


class WeightEditor(Editor):
    """An editor that trains a stand-in for the final MLP block.

    Args:
        vlm: the frozen model.
        block: the stand-in; unedited, it computes what the model's own block does.
        tensors: those parts of it that edits change.
        asking: how questions are scored and batched.
        target: what the model is trained to say, with ``{answer}`` and, for the -COT form, ``{reasoning}``.
        about: settings that decide what an edit does; a saved state of others is refused.

    Raises:
        ConfigError: an option out of range.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(undo=True, changes_weights=True, decides_scope=False)

    def __init__(
        self,
        vlm: VLM,
        block: nn.Module,
        tensors: Mapping[str, Tensor],
        *,
        asking: Asking | None,
        target: str,
        about: Mapping[str, object],
    ) -> None:
        super().__init__(vlm)
        check_target(target)
        self.block = block
        self.asking = asking or Asking()
        self.target = target
        own = {"model": vlm.fingerprint, "editor": type(self).__name__, "target": target}
        self._memory = WeightMemory(tensors, own | {name: str(value) for name, value in about.items()})
        self._checked = False

    @abstractmethod
    def update(self, trace: Trace) -> str:
        """Change the tensors in place so that the block says ``trace.tokens``.

        Returns:
            How it went, for the receipt.

        Raises:
            DivergedError: a number became nan or infinite.
        """

    @property
    def memory(self) -> WeightMemory:
        """The changed tensors, and what it takes to make the edits again."""
        return self._memory

    @property
    def edit_ids(self) -> tuple[str, ...]:
        """The edits in force, in the order in which they were made."""
        return tuple(self._memory.traces)

    @property
    def nbytes(self) -> int:
        """Bytes of the changed tensors and the traces."""
        return self._memory.nbytes

    def edit(self, edit: Edit) -> EditReceipt:
        """Train on the edit, from the weights that the edits before it left.

        Raises:
            RecordError: the picture cannot be decoded, the texts are too long, or the id is taken; nothing is changed.
            EditDivergedError: training diverged; nothing is changed.
        """
        started = time.perf_counter()
        if edit.id in self._memory.traces:
            raise RecordError(f"edit {edit.id}: already made; undo it first, or give it another id")
        with torch.inference_mode(False):
            trace = self._trace(edit)
            before, bytes_before = self._memory.copies(), self.nbytes
            try:
                note = self._update(trace)
            except BaseException as error:
                self._memory.write(before)
                if not isinstance(error, DivergedError):
                    raise
                why = f"edit {edit.id}: diverged, {error}; the weights are as before, try a smaller lr"
                raise EditDivergedError(why) from error
        self._memory.traces[edit.id] = trace
        self._memory.before_last = before
        seconds = time.perf_counter() - started
        return EditReceipt(edit.id, bytes_added=self.nbytes - bytes_before, seconds=seconds, notes=(note,))

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer each question with the edited block, whatever it is about."""
        if not self._memory.traces:
            return answer_questions(self.vlm, questions, self.asking)
        with last_block.in_place(self.vlm, self.block):
            return answer_questions(self.vlm, questions, self.asking)

    def undo(self, edit_id: str) -> None:
        """The weights without an edit: those before it if it was the last, else all other edits are made again.

        Raises:
            RecordError: no such edit, or one of the others diverges without it; nothing is changed.
        """
        memory = self._memory
        if edit_id not in memory.traces:
            raise RecordError(f"edit {edit_id}: not in force, so it cannot be undone")
        others = {name: trace for name, trace in memory.traces.items() if name != edit_id}
        if edit_id == self.edit_ids[-1] and memory.before_last is not None:
            memory.write(memory.before_last)
        else:
            self._replay(others, edit_id)
        memory.traces, memory.before_last = others, None

    def replicate(self) -> None:
        """Give every rank the first one's tensors, byte for byte; accelerators may round differently."""
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            for tensor in self._memory.tensors.values():
                dist.broadcast(tensor.detach(), 0)

    def checksum(self) -> str:
        """Hash of the edits' ids and the changed tensors."""
        return self._memory.checksum()

    def save(self, folder: Path) -> Path:
        """Write ``weights.safetensors`` to ``folder``."""
        return weight_files.save(self._memory, folder)

    def load(self, folder: Path) -> None:
        """Continue from what :meth:`save` wrote.

        Raises:
            ConfigError: nothing readable there, or it belongs to another model, editor or settings.
        """
        weight_files.load(self._memory, folder)

    def _trace(self, edit: Edit) -> Trace:
        from rv_edit.vlm import PromptTooLongError

        feats = self.vlm.encode_images([edit.image.open()])
        prompt, target = self.vlm.format_prompt(edit.question), target_of(self.target, edit)
        try:
            (seen,) = last_block.trace(self.vlm, feats, [prompt], [target])
            if not self._checked:
                last_block.check(self.vlm, seen, feats, prompt, target)
                self._checked = True
        except PromptTooLongError as error:
            raise RecordError(f"edit {edit.id}: {error}") from error
        return seen

    def _update(self, trace: Trace) -> str:
        with torch.enable_grad():
            note = self.update(trace)
        if not self._memory.finite():
            raise DivergedError("a weight is not a finite number")
        return note

    def _replay(self, traces: Mapping[str, Trace], without: str) -> None:
        now = self._memory.copies()
        self._memory.write(self._memory.start)
        for name, trace in traces.items():
            try:
                with torch.inference_mode(False):
                    self._update(trace)
            except BaseException as error:
                self._memory.write(now)
                if not isinstance(error, DivergedError):
                    raise
                raise RecordError(f"edit {without}: without it edit {name} diverges ({error}); it stays") from error


def check_target(template: str) -> None:
    """Refuse a template that does not begin with the answer (paper D.3: "the correct answer followed by …").

    Raises:
        ConfigError: it does not, or does not format.
    """
    if not template.startswith(ANSWER):
        raise ConfigError(f"editor.target: {template!r} must begin with {ANSWER}, by which questions are scored")
    try:
        template.removeprefix(ANSWER).format(reasoning="r")
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(f"editor.target: {template!r} does not format ({error}); there is {{reasoning}}") from error


def target_of(template: str, edit: Edit) -> Target:
    """What an edit teaches the model to say: the answer, and what follows it; nothing follows without reasoning.

    >>> from data_modules.records import ImageRef
    >>> edit = Edit("e", ImageRef("0"), "What is it?", ("cat", "dog"), "cat", ("It purrs.", "Cats purr."))
    >>> target_of("{answer}. {reasoning}", edit)
    ('cat', '. It purrs. Cats purr.')
    """
    if not edit.reasoning:
        return edit.answer
    return edit.answer, template.removeprefix(ANSWER).format(reasoning=" ".join(edit.reasoning))
