"""Nearest keys, with decisions that do not depend on how queries are batched.

A matrix product of another shape may differ in its last bits, so products only *preselect*; every distance that
is compared or returned comes from :func:`distances`, whose value depends on the two vectors alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

DIRECT_KEYS = 256
"""Up to so many keys all distances are computed; beyond, only those of preselected candidates."""
DIRECT_NUMBERS = 1 << 21
"""Up to so many pairs of numbers a preselection costs more than it saves, where only the nearest key is asked for."""
SLACK = 32
"""Candidates beyond the k asked for; more than that many near-ties fall back to all distances."""
BLOCK = 1 << 24
"""Numbers held at once in a block of gathered or converted keys."""


def distances(left: Tensor, right: Tensor) -> Tensor:
    """‖l − r‖₂ in fp32 for all pairs: (…, a, d) and (…, b, d) -> (…, a, b). Each pair by itself, never as a product."""
    with torch.autocast(left.device.type, enabled=False):
        return torch.cdist(left.float(), right.float(), compute_mode="donot_use_mm_for_euclid_dist")


def blocks(rows: int, width: int) -> list[slice]:
    """Slices of ``rows`` that hold about :data:`BLOCK` numbers each at ``width`` numbers a row."""
    step = max(1, BLOCK // max(1, width))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


class Widened:
    """fp64 keys and their squared lengths, kept until other keys are asked for; key tensors never change in place.

    ``longest`` is the greatest of the squared lengths.
    """

    def __init__(self) -> None:
        self._of: Tensor | None = None
        self._kept = torch.empty(0), torch.empty(0)
        self.longest = 0.0

    def __call__(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """(n, d) and (n,) fp64 of keys (n, d)."""
        if self._of is not keys:
            wide = keys.detach().double()
            lengths = (wide**2).sum(1)
            self._of, self._kept, self.longest = keys, (wide, lengths), float(lengths.max()) if len(lengths) else 0.0
        return self._kept


def nearest(
    queries: Tensor, keys: Tensor, k: int, scales: Tensor | None = None, widened: Widened | None = None
) -> tuple[Tensor, Tensor]:
    """The k nearest keys of each query, nearest first, ties to the lower index.

    Args:
        queries: (B, d) floating point.
        keys: (n, d) floating point.
        k: how many; min(k, n) come back.
        scales: (n,) fp32 > 0; distances to key j are divided by scales[j] (hubness correction).
        widened: of the caller, who asks about the same keys again and again.

    Returns:
        distances (B, k) fp32 and indices (B, k) int64.
    """
    k = min(k, len(keys))
    few = k == 1 and len(queries) * keys.numel() <= DIRECT_NUMBERS
    if few or len(keys) <= max(DIRECT_KEYS, k + SLACK):
        return _ranked(_all_distances(queries, keys, scales), None, k)
    if len(queries) == 1 and scales is None and widened is not None:
        return _nearest_to_one(queries.float(), keys, k, widened)
    found: list[tuple[Tensor, Tensor]] = []
    for rows in blocks(len(queries), max(len(keys), (k + SLACK) * keys.shape[1])):
        found.append(_nearest_among_candidates(queries[rows].float(), keys, k, scales, widened or Widened()))
    if not found:
        return queries.new_zeros(0, k, dtype=torch.float32), torch.zeros(0, k, dtype=torch.int64, device=keys.device)
    return torch.cat([part[0] for part in found]), torch.cat([part[1] for part in found])


def _nearest_to_one(query: Tensor, keys: Tensor, k: int, widened: Widened) -> tuple[Tensor, Tensor]:
    """As :func:`_nearest_among_candidates` for (1, d), in few operations: for one query their number is the cost."""
    wide_keys, key_lengths = widened(keys)
    wide = query[0].double()
    length = float(wide @ wide)
    # squared distances less the query's own squared length, which changes no order
    floor, candidates = torch.addmv(key_lengths, wide_keys, wide, alpha=-2).topk(k + SLACK, largest=False)
    candidates = candidates.sort().values
    best, index = _ranked(distances(query, keys[candidates]), candidates[None], k)
    least = max(0.0, float(floor[-1]) + length - 1e-12 * (length + widened.longest)) ** 0.5
    if least * (1 - 2.0**-20 * max(1.0, keys.shape[1] / 16)) > float(best[0, -1]):
        return best, index
    return _ranked(_all_distances(query, keys, None), None, k)


def _nearest_among_candidates(
    queries: Tensor, keys: Tensor, k: int, scales: Tensor | None, widened: Widened
) -> tuple[Tensor, Tensor]:
    """Preselect by one fp64 product (no TF32, no autocast), then decide by exact distances."""
    wide, (wide_keys, key_lengths) = queries.double(), widened(keys)
    lengths = (wide**2).sum(1, keepdim=True)
    estimate = lengths + key_lengths - 2 * wide @ wide_keys.T
    slack = 1e-12 * (lengths + key_lengths.max())  # far above fp64 rounding of the cancellation
    estimate = (estimate - slack).clamp(min=0).sqrt()
    if scales is not None:
        estimate = estimate / scales.double()
    floor, candidates = estimate.topk(k + SLACK, dim=1, largest=False)
    candidates = candidates.sort(dim=1).values  # so that a stable sort breaks ties by index
    exact = distances(queries[:, None], keys[candidates])[:, 0]
    if scales is not None:
        exact = exact / scales[candidates]
    best, index = _ranked(exact, candidates, k)
    # fp32 rounding of an exact distance: no key outside the candidates may come closer than the k-th found.
    safe = floor[:, -1] * (1 - 2.0**-20 * max(1.0, keys.shape[1] / 16)) > best[:, -1].double()
    for row in torch.nonzero(~safe).flatten().tolist():
        everything = _all_distances(queries[row : row + 1], keys, scales)
        best[row], index[row] = (part[0] for part in _ranked(everything, None, k))
    return best, index


def _all_distances(queries: Tensor, keys: Tensor, scales: Tensor | None) -> Tensor:
    parts = [distances(queries, keys[rows]) for rows in blocks(len(keys), keys.shape[1])]
    exact = torch.cat(parts, dim=1) if parts else queries.new_zeros(len(queries), 0, dtype=torch.float32)
    return exact if scales is None else exact / scales


def _ranked(exact: Tensor, index: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of each row, earlier columns first among equals."""
    if k == 1 and index is None and exact.shape[1]:
        order = exact.argmin(dim=1, keepdim=True)  # the first among equals, as documented
        return exact.gather(1, order), order
    values, order = exact.sort(dim=1, stable=True)
    order = order[:, :k]
    return values[:, :k].clone(), (order if index is None else index.gather(1, order)).clone()
