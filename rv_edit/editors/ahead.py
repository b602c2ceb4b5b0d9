"""W ranks prepare the next W edits, one each, while edits still go in one by one, in order, on every rank.

What :meth:`Editor.prepare` finds (evidence, keys) depends on the frozen model and the edit alone, so it is the same
whoever finds it and whenever; the order of insertions, on which everything else depends, stays that of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data_modules.records import Edit, EditReceipt, RecordError
from rv_edit.editors.base import Editor
from rv_edit.editors.strategy import gather, rank_and_world


@dataclass(frozen=True)
class _Failed:
    """A fault on one rank, as told to the others."""

    edit_id: str
    reason: str


class Ahead:
    """Makes the edits of a stream by what the ranks prepare for each other.

    All ranks call it for the same edits in the same order. It may begin anywhere, as a resumed run does.

    Args:
        editor: one that prepares (:attr:`Capabilities.prepares_ahead`).
        edits: the stream.
    """

    def __init__(self, editor: Editor, edits: Sequence[Edit]) -> None:
        self._editor = editor
        self._edits = edits
        self._ready: dict[int, Any] = {}

    def make(self, place: int) -> EditReceipt:
        """Make the edit at ``place`` of the stream; where it is not prepared, all ranks prepare it and those behind.

        Raises:
            RecordError: the edit cannot be used; nothing was changed, on any rank.
            RuntimeError: another rank failed.
        """
        if place not in self._ready:
            self._ready = self._prepare(place)
        prepared = self._ready.pop(place)
        if isinstance(prepared, RecordError):
            raise prepared
        return self._editor.insert(self._edits[place], prepared)

    def _prepare(self, first: int) -> dict[int, Any]:
        rank, _ = rank_and_world()
        place = first + rank
        mine: Any = None
        fault: Exception | None = None
        if place < len(self._edits):
            edit = self._edits[place]
            try:
                mine = self._editor.prepare(edit)
            except RecordError as error:
                mine = RecordError(str(error))
            except Exception as error:  # noqa: BLE001  raised below, once the others know and do not wait for ever
                fault, mine = error, _Failed(edit.id, f"{type(error).__name__}: {error}")
        found = gather(mine)
        if fault is not None:
            raise fault
        for other, item in enumerate(found):
            if isinstance(item, _Failed):
                raise RuntimeError(f"rank {other} failed while it prepared edit {item.edit_id} ({item.reason})")
        return {first + other: item for other, item in enumerate(found) if first + other < len(self._edits)}
