"""The cold sidecar of a codebook: every entry ever made, in order, and which key each ended up in.

It is what an undo replays and what tells where a sentence comes from. Retrieval by distance never touches the
member keys, so they count as no codebook memory and stay in main memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from rv_edit.codebook.entries import Entry
from rv_edit.codebook.maths import Condition

Placed = Literal["new"] | Condition
Join = Callable[[str, Tensor, Tensor], Tensor]
"""Name of a tensor, its rows and more rows -> all of them; see :class:`~rv_edit.codebook.growing.Rooms`."""


class Ledger:
    """Entries by position 0 … N-1, in the order in which they were made.

    Attributes:
        entries: what was stated.
        members: (N, d) fp16, each entry's own key; ``radii`` (N,) fp32.
        placed: how each entry entered: ``new``, or the merge condition that held.
        groups: for each key of the codebook the positions of its entries, its founder first;
            ``value_bytes`` the UTF-8 length of its sentences in force.
        retired: position of a superseded entry -> the edit that superseded it.
    """

    def __init__(self, dim: int) -> None:
        self.entries: list[Entry] = []
        self.members = torch.zeros(0, dim, dtype=torch.float16)
        self.radii = torch.zeros(0)
        self.placed: list[Placed] = []
        self.groups: list[tuple[int, ...]] = []
        self.value_bytes: list[int] = []
        self.retired: dict[int, str] = {}
        self.edits: dict[str, range] = {}
        self._answers: dict[tuple[str, str], tuple[int, ...]] = {}

    def copy(self) -> Ledger:
        """A copy that later insertions leave alone; entries and tensors are shared, since none changes in place."""
        other = Ledger(self.members.shape[1])
        other.entries, other.placed = list(self.entries), list(self.placed)
        other.groups, other.value_bytes = list(self.groups), list(self.value_bytes)
        other.members, other.radii, other.retired = self.members, self.radii, dict(self.retired)
        other.edits, other._answers = dict(self.edits), dict(self._answers)
        return other

    def append(self, entries: Sequence[Entry], members: Tensor, radii: Tensor, join: Join) -> range:
        """Write down one edit; its entries still have to be placed. Returns their positions."""
        span = range(len(self.entries), len(self.entries) + len(entries))
        self.entries += entries
        self.members = join("members", self.members, members)
        self.radii = join("member_radii", self.radii, radii)
        self.edits[entries[0].edit_id] = span
        return span

    def add_key(self, group: tuple[int, ...]) -> None:
        """A new key stands for ``group``, last in order."""
        self.groups.append(group)
        self.value_bytes.append(self._value_bytes(group))

    def set_key(self, key: int, group: tuple[int, ...]) -> None:
        """A key stands for ``group`` from now on, or for other sentences of it."""
        self.groups[key], self.value_bytes[key] = group, self._value_bytes(group)

    def remove_key(self, key: int) -> None:
        """A key is gone; later ones move up."""
        del self.groups[key], self.value_bytes[key]

    def _value_bytes(self, group: tuple[int, ...]) -> int:
        return sum(len(text.encode()) for text in self.sentences(group).values())

    def stand_by(self, position: int) -> None:
        """An answer entry now holds: later ones on its image and question supersede it."""
        subject = self.entries[position].subject
        if subject is not None:
            self._answers[subject] = (*self._answers.get(subject, ()), position)

    def contradicted(self, entry: Entry) -> list[int]:
        """Positions of answers in force to the image and question of ``entry`` that differ from its answer."""
        held = self._answers.get(entry.subject, ()) if entry.subject is not None else ()
        return [position for position in held if self.entries[position].answer != entry.answer]

    def retire(self, position: int, by: str) -> None:
        """Take an answer entry out of force."""
        self.retired[position] = by
        subject = self.entries[position].subject
        assert subject is not None
        self._answers[subject] = tuple(other for other in self._answers[subject] if other != position)

    def founder(self, key: int) -> Entry:
        """The entry by whose id a key goes, superseded or not."""
        return self.entries[self.groups[key][0]]

    def live(self, group: Iterable[int]) -> list[Entry]:
        """Entries of a key that are in force, oldest first."""
        return [self.entries[position] for position in group if position not in self.retired]

    def sentences(self, group: Iterable[int]) -> dict[str, str]:
        """A key's value: its distinct sentences in force, oldest first, by normal form."""
        distinct: dict[str, str] = {}
        for entry in self.live(group):
            distinct.setdefault(entry.normal, entry.text)
        return distinct

    def center(self, group: Sequence[int]) -> Tensor:
        """A key (d,) fp16: the average of its members, each counting once.

        Sums of fp16 numbers are exact in fp64, so neither the order nor the number of earlier merges shows.
        """
        return self.members[list(group)].double().mean(0).half()
