"""What editors have in common whose whole memory is a codebook: what it holds, and taking an edit back."""

from __future__ import annotations

from rv_edit.codebook import Codebook
from rv_edit.editors.base import Editor


class CodebookEditor(Editor):
    """An editor over a codebook.

    Attributes:
        codebook: the edits in force.
    """

    codebook: Codebook

    @property
    def memory(self) -> Codebook:
        """The codebook."""
        return self.codebook

    @property
    def edit_ids(self) -> tuple[str, ...]:
        """The edits in the codebook, in the order in which they were made."""
        return tuple(self.codebook.edit_ids)

    @property
    def num_keys(self) -> int:
        """Keys in the codebook, after merging."""
        return len(self.codebook)

    @property
    def nbytes(self) -> int:
        """Bytes of keys, radii and values."""
        return self.codebook.nbytes

    def undo(self, edit_id: str) -> None:
        """Forget an edit; the codebook is then that of the other edits in their order.

        Raises:
            RecordError: no such edit.
        """
        self.codebook.undo(edit_id)

    def checksum(self) -> str:
        """Hash of the codebook."""
        return str(self.codebook.checksum())
