"""Rows of language-model input, and their padding into batches.

A family turns a picture and a prompt into one :class:`Prefix`, unpadded; everything after that is generic.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Prefix:
    """One picture and prompt as input of the language model, T positions long.

    Attributes:
        keys: T values; two prefixes over the same picture have equal input up to where their keys first differ.
            Token ids do, wherever the picture's tokens do not depend on the prompt.
        embeds: (T, d).
        pos: (T,), or (axes, T) for rotary positions of several axes.
        next_pos: Position of the first answer token, on every axis.
        extra: Further per-position inputs (T, …), zero where there are none; see ``VLM.lm_inputs``.
    """

    keys: tuple[Hashable, ...]
    embeds: Tensor
    pos: Tensor
    next_pos: int
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.keys)

    def slice(self, start: int, stop: int | None = None) -> Prefix:
        """The positions ``start … stop``."""
        part = slice(start, stop)
        return Prefix(
            self.keys[part],
            self.embeds[part],
            self.pos[..., part],
            self.next_pos,
            {name: value[part] for name, value in self.extra.items()},
        )

    def append(self, ids: Sequence[int], embeds: Tensor) -> Prefix:
        """This prefix and the answer tokens ``ids`` with their ``embeds`` (L, d)."""
        if not ids:
            return self
        steps = torch.arange(len(ids), device=self.pos.device) + self.next_pos
        tail = {name: value.new_zeros(len(ids), *value.shape[1:]) for name, value in self.extra.items()}
        return Prefix(
            (*self.keys, *ids),
            torch.cat([self.embeds, embeds]),
            torch.cat([self.pos, steps.expand(*self.pos.shape[:-1], len(ids))], dim=-1),
            self.next_pos + len(ids),
            {name: torch.cat([value, tail[name]]) for name, value in self.extra.items()},
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Padded rows: ``embeds`` (B, L, d), ``mask`` (B, L) bool, ``pos`` (…, B, L), ``extra`` (B, L, …)."""

    embeds: Tensor
    mask: Tensor
    pos: Tensor
    extra: Mapping[str, Tensor]

    @classmethod
    def of(cls, rows: Sequence[Prefix], side: str) -> Batch:
        """Pad to the longest row, on the ``left`` (the last column is real everywhere) or the ``right``."""
        length = max(len(row) for row in rows)

        def pad(value: Tensor, dim: int) -> Tensor:
            gap = length - value.shape[dim]
            if not gap:
                return value
            shape = list(value.shape)
            shape[dim] = gap
            blank = value.new_zeros(shape)
            return torch.cat([blank, value] if side == "left" else [value, blank], dim=dim)

        device = rows[0].embeds.device
        return cls(
            embeds=torch.stack([pad(row.embeds, 0) for row in rows]),
            mask=torch.stack([pad(torch.ones(len(row), dtype=torch.bool, device=device), 0) for row in rows]),
            pos=torch.stack([pad(row.pos, -1) for row in rows], dim=-2),
            extra={name: torch.stack([pad(row.extra[name], 0) for row in rows]) for name in rows[0].extra},
        )


def common_prefix(rows: Sequence[Sequence[Hashable]]) -> int:
    """Length of the longest common beginning of all the rows.

    >>> common_prefix([(1, 2, 3), (1, 2, 4, 5), (1, 2)])
    2
    """
    shortest = min(len(row) for row in rows)
    for position in range(shortest):
        if any(row[position] != rows[0][position] for row in rows):
            return position
    return shortest
