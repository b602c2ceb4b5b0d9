"""What a reader works with: an editor whose codebook no longer changes, and what is known about its edits.

A change makes another state; whoever holds the old one goes on reading it. So a reader sees the edits before a change
or after it, never half of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from rv_edit.api.records import About, MadeEdit
from rv_edit.api.stored import StoredEdit, made_edit
from rv_edit.codebook import Codebook

if TYPE_CHECKING:
    from rv_edit.editors.reasonedit import ReasonEdit


@dataclass(frozen=True)
class Change:
    """One change, with all that is needed to make it again without a model.

    Attributes:
        kind: ``edit`` puts edits in; ``undo`` takes one out; ``amend`` takes one out and puts its new form in;
            ``merge`` puts all edits anew, in order.
        removed: ids taken out first.
        added: edits put in then, in order.
        by: of an undo, who made it and when; an edit that is put in bears that itself.
    """

    kind: Literal["edit", "undo", "amend", "merge"]
    removed: tuple[str, ...] = ()
    added: tuple[StoredEdit, ...] = ()
    by: About | None = None


@dataclass(frozen=True, eq=False)
class State:
    """Edits in force.

    Attributes:
        editor: answers with them. Its codebook is never changed; :meth:`ReasonEdit.with_codebook` makes others.
        about: who made each edit, and when.
        version: counts the changes made since loading.
    """

    editor: ReasonEdit
    about: Mapping[str, About] = field(default_factory=dict)
    version: int = 0

    @property
    def ids(self) -> tuple[str, ...]:
        """The edits, oldest first."""
        return self.editor.edit_ids

    def about_of(self, edit_id: str) -> About:
        """Attribution of an edit; empty where nothing is known."""
        return self.about.get(edit_id, About())

    def stored(self, edit_id: str) -> StoredEdit:
        """An edit with its keys.

        Raises:
            RecordError: no such edit.
        """
        return StoredEdit.of(self.editor.codebook, edit_id, self.about_of(edit_id))

    def made(self, edit_id: str) -> MadeEdit:
        """An edit as its maker stated it."""
        return made_edit(self.editor.codebook, edit_id, self.about_of(edit_id))

    def after(self, change: Change) -> State:
        """The state that ``change`` leads to; this one stays as it is.

        Raises:
            RecordError: an edit to be removed is not there, or one to be added is.
        """
        book = self._without(change.removed)
        for stored in change.added:
            stored.put_into(book)
        gone = set(change.removed)
        about = {edit_id: value for edit_id, value in self.about.items() if edit_id not in gone}
        about.update({stored.id: stored.about for stored in change.added})
        return State(self.editor.with_codebook(book), about, self.version + 1)

    def _without(self, gone: Sequence[str]) -> Codebook:
        """A codebook without some edits, as if they had never been made; replayed once, however many they are."""
        book = self.editor.codebook
        if len(gone) < 2:
            copied = book.copy()
            for edit_id in gone:
                copied.undo(edit_id)
            return copied
        for edit_id in gone:
            self.stored(edit_id)
        emptied = Codebook(book.dim, book.fingerprint, **asdict(book.storing), **asdict(book.retrieving))
        if len(book.calibration):
            emptied.calibrate(book.calibration, book.calibration_share)
        for edit_id in self.ids:
            if edit_id not in set(gone):
                self.stored(edit_id).put_into(emptied)
        return emptied
