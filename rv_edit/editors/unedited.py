"""The model as it came: the reference that every editor is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from data_modules.records import Answer, Edit, EditReceipt, Question
from rv_edit.editors.answering import Asking, answer_questions
from rv_edit.editors.base import Capabilities, Editor, EditorContext
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.vlm import VLM


class Unedited(Editor):
    """Answers with the frozen model and takes no edits.

    Args:
        vlm: the frozen model.
        asking: how questions are scored and batched.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(edits=False)

    def __init__(self, vlm: VLM, asking: Asking | None = None) -> None:
        super().__init__(vlm)
        self.asking = asking or Asking()

    @classmethod
    def from_context(cls, context: EditorContext, **options: Any) -> Unedited:
        """Build for a run; there are no options."""
        if options:
            raise ConfigError(f"editor.{next(iter(options))}: editor=unedited has no options")
        return cls(context.vlm, context.asking)

    def edit(self, edit: Edit) -> EditReceipt:
        """Refused: there is nothing to change."""
        raise ConfigError("editor=unedited takes no edits; use editor=reasonedit")

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer each question from its picture and its words alone."""
        return answer_questions(self.vlm, questions, self.asking)
