"""Distances of an edit's new keys to all keys, computed together once and kept right while the edit goes in.

Reading all keys is what an insertion into a large codebook costs, so they are read once for all entries of an edit.
Each distance is that of its two vectors alone, so none of them differs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rv_edit.codebook.pairs import Row
from rv_edit.codebook.search import blocks, distances


def row_of(key: Tensor, keys: Tensor) -> Row:
    """Distances (n,) fp32 of one key (d,) to all keys (n, d)."""
    row: Row = between(key[None], keys)[0]
    return row


def between(some: Tensor, keys: Tensor) -> Row:
    """Distances (m, n) fp32 of some keys (m, d) to all keys (n, d), read once and in order."""
    some = some.to(keys.device)
    parts = [distances(keys[rows], some).T for rows in blocks(len(keys), keys.shape[1])]
    found: Row = torch.cat(parts, dim=1).cpu().numpy() if parts else np.zeros((len(some), 0), np.float32)
    return found


class Nearness:
    """Distances of the entries of one edit to the keys, as keys come, move and go.

    Args:
        members: (m, d) the entries' own keys, in the order in which they go in.
        keys: (n, d) present keys.
    """

    def __init__(self, members: Tensor, keys: Tensor) -> None:
        self._members = members.to(keys.device)
        self._size = len(keys)
        self._found: Row = np.empty((len(members), len(keys) + len(members)), np.float32)
        self._found[:, : self._size] = between(members, keys)

    def row(self, number: int) -> Row:
        """Distances (n,) of entry ``number`` to the keys there are now."""
        return self._found[number, : self._size]

    def append(self, key: Tensor) -> None:
        """A key (d,) was added behind the others."""
        self._found[:, self._size] = self._to(key)
        self._size += 1

    def move(self, index: int, key: Tensor) -> None:
        """Key ``index`` lies elsewhere now."""
        self._found[:, index] = self._to(key)

    def remove(self, index: int) -> None:
        """Key ``index`` is gone, later ones move up."""
        self._found[:, index : self._size - 1] = self._found[:, index + 1 : self._size]
        self._size -= 1

    def _to(self, key: Tensor) -> Row:
        column: Row = distances(self._members, key.to(self._members.device)[None])[:, 0].cpu().numpy()
        return column
