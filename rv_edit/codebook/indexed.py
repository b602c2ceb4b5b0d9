"""Nearest keys by a faiss index: of very many keys only those in the cells around a query are looked at.

The index only preselects. Distances that are compared or returned are the exact ones of :mod:`rv_edit.codebook.search`,
and keys that came or moved since the index was made are compared one by one, so the index alone can miss a key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rv_edit.codebook.packing import widen
from rv_edit.codebook.search import blocks, distances, nearest

STALE = 0.1
"""Share of keys that may have come or moved before the index is made anew."""
SAMPLE = 64
"""Keys a cell that the cells are found with."""
SLACK = 16
"""Candidates beyond the k asked for: an index ranks by distances of its own."""


@dataclass(frozen=True)
class _State:
    """An ``index`` of the keys ``made_of``, and the places of those among the keys ``seen`` last that it lacks."""

    seen: Tensor
    made_of: Tensor
    fresh: Tensor
    index: Any


class FaissIndex:
    """An inverted file of keys (n, d), kept until too many of them have changed.

    Args:
        probes: cells looked at for a query, of about √n.
    """

    def __init__(self, probes: int) -> None:
        self.probes = probes
        # Replaced as a whole, so that threads that ask at once never see half of it.
        self._state: _State | None = None

    def nearest(self, queries: Tensor, keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """As :func:`rv_edit.codebook.search.nearest`, but a key outside the probed cells can be missed."""
        state = self._kept_up(keys)
        queries, k = queries.float(), min(k, len(keys))
        found = [
            self._some(queries[rows], keys, k, state) for rows in blocks(len(queries), 2 * keys.shape[1] * (k + SLACK))
        ]
        if not found:
            return nearest(queries, keys, k)
        return torch.cat([near for near, _ in found]), torch.cat([index for _, index in found])

    def _some(self, queries: Tensor, keys: Tensor, k: int, state: _State) -> tuple[Tensor, Tensor]:
        _, places = state.index.search(queries.cpu().numpy(), min(k + SLACK, state.index.ntotal))
        fresh = state.fresh.to(keys.device)
        candidates = torch.from_numpy(places).to(keys.device)
        # Row by row in order of index, so that equal distances go to the lower one; -1 stands for none, and a key that
        # moved is among the fresh ones.
        gone = torch.zeros(len(keys), dtype=torch.bool, device=keys.device)
        gone[fresh] = True
        none = (candidates < 0) | (candidates >= len(keys))
        none |= gone[candidates.clamp(0, len(keys) - 1)]
        candidates = candidates.masked_fill(none, len(keys)).sort(dim=1).values
        near = distances(queries[:, None], keys[candidates.clamp(max=len(keys) - 1)])[:, 0]
        near = near.masked_fill(candidates == len(keys), math.inf)
        if len(fresh):
            count = min(k, len(fresh))
            added, which = nearest(queries, keys[fresh], count)
            near, candidates = torch.cat([near, added], dim=1), torch.cat([candidates, fresh[which]], dim=1)
            candidates, order = candidates.sort(dim=1, stable=True)
            near = near.gather(1, order)
        near, order = near.sort(dim=1, stable=True)
        near, index = near[:, :k], candidates.gather(1, order[:, :k])
        short = near.isinf().any(dim=1).nonzero()[:, 0]  # the probed cells hold fewer than k keys
        if len(short):
            near, index = near.clone(), index.clone()
            near[short], index[short] = nearest(queries[short], keys, k)
        return near, index

    def _kept_up(self, keys: Tensor) -> _State:
        """The index, and what came or moved since it was made; made anew where that is much."""
        state = self._state
        if state is not None and keys is state.seen:
            return state
        if state is not None and len(keys) >= len(state.made_of) and keys.shape[1] == state.made_of.shape[1]:
            known = len(state.made_of)
            moved = [
                (keys[rows] != state.made_of[rows].to(keys.device)).any(dim=1).nonzero()[:, 0] + rows.start
                for rows in blocks(known, keys.shape[1])
            ]
            fresh = torch.cat([*moved, torch.arange(known, len(keys), device=keys.device)]).cpu()
            if len(fresh) <= STALE * len(keys):
                self._state = state = _State(keys, state.made_of, fresh, state.index)
                return state
        self._state = state = _State(keys, keys, torch.empty(0, dtype=torch.int64), self._build(keys))
        return state

    def _build(self, keys: Tensor) -> Any:
        import faiss

        cells = max(1, round(math.sqrt(len(keys))))
        dim = widen(keys[:1]).shape[1]
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dim), dim, cells, faiss.METRIC_L2)
        index.nprobe = min(self.probes, cells)
        index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = SAMPLE, 1
        drawn = torch.randperm(len(keys), generator=torch.Generator().manual_seed(0))[: SAMPLE * cells]
        index.train(widen(keys[drawn.to(keys.device)]).cpu().numpy())
        for rows in blocks(len(keys), keys.shape[1]):
            index.add(widen(keys[rows]).cpu().numpy())
        return index
