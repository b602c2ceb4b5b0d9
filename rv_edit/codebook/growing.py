"""Tensors that grow at the end: a row costs a row, not a copy of all that is there.

What was handed out never changes: rows are written only behind it, in room that nobody else was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from rv_edit.codebook.codebook import Codebook

AHEAD = 0.25
"""Room kept for later rows, as a share of those there: what memory may exceed the need by."""


class Growing:
    """The room behind one tensor (n, …). Each owner has one of its own; two never write into the same room.

    >>> room, rows = Growing(), torch.zeros(2, 3)
    >>> one = room.append(rows, torch.ones(1, 3))
    >>> two = room.append(one, torch.ones(1, 3))
    >>> len(rows), len(one), len(two), one.data_ptr() == two.data_ptr()
    (2, 3, 4, True)
    """

    def __init__(self) -> None:
        self._room: Tensor | None = None
        self._used = 0

    def append(self, rows: Tensor, more: Tensor) -> Tensor:
        """``rows`` with ``more`` behind them; in place where ``rows`` is what this returned last and room is left."""
        count = len(rows) + len(more)
        if not self._holds(rows, count):
            self._room = self._copy(rows, count)
        assert self._room is not None
        self._room[len(rows) : count] = more.to(rows.device)
        self._used = count
        return self._room[:count]

    def own(self, rows: Tensor) -> Tensor:
        """A copy of ``rows`` in new room, which the caller alone has and may change before handing it out."""
        self._room, self._used = self._copy(rows, len(rows)), len(rows)
        return self._room[: len(rows)]

    def _holds(self, rows: Tensor, count: int) -> bool:
        room = self._room
        return (
            room is not None
            and len(rows) == self._used
            and count <= len(room)
            and rows.data_ptr() == room.data_ptr()
            and rows.dtype == room.dtype
            and rows.device == room.device
            and rows.shape[1:] == room.shape[1:]
        )

    @staticmethod
    def _copy(rows: Tensor, count: int) -> Tensor:
        room = torch.zeros(count + max(16, int(AHEAD * count)), *rows.shape[1:], dtype=rows.dtype, device=rows.device)
        room[: len(rows)] = rows
        return room


class Rooms:
    """The rooms of one codebook's tensors; a copy of the codebook has its own."""

    def __init__(self) -> None:
        self._rooms: dict[str, Growing] = {}
        self._own = False

    def begin(self) -> None:
        """An edit goes in: whatever is there now has been handed out."""
        self._own = False

    def join(self, name: str, rows: Tensor, more: Tensor) -> Tensor:
        """:meth:`Growing.append` in the room called ``name``."""
        return self._rooms.setdefault(name, Growing()).append(rows, more)

    def add_key(self, book: Codebook, key: Tensor, radius: Tensor) -> None:
        """A key (d,) of one entry, behind the others."""
        book.keys = self.join("keys", book.keys, key[None])
        book.radii = self.join("radii", book.radii, radius[None])
        book.counts = self.join("counts", book.counts, book.counts.new_ones(1))

    def move_key(self, book: Codebook, index: int, key: Tensor, count: int) -> None:
        """Key ``index`` lies at ``key`` (d,) and stands for ``count`` entries; copies once an edit what others hold."""
        if not self._own:
            book.keys = self._rooms.setdefault("keys", Growing()).own(book.keys)
            book.counts = self._rooms.setdefault("counts", Growing()).own(book.counts)
            self._own = True
        book.keys[index], book.counts[index] = key, count
