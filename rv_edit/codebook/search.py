"""Nearest keys, with decisions that do not depend on how queries are batched.

A matrix product of another shape may differ in its last bits, so products only *preselect*; every distance that
is compared or returned comes from :func:`distances`, whose value depends on the two vectors alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rv_edit.codebook.packing import widen

DIRECT_KEYS = 64
"""Up to so many keys all distances are computed; beyond, only those of preselected candidates."""
DIRECT_NUMBERS = 1 << 18
"""Up to so many pairs of numbers a preselection costs more than it saves, where only the nearest key is asked for."""
SLACK = (4, 32)
"""Candidates beyond the k asked for, at the first look and at the second; more near-ties than that fall back to all
distances."""
BLOCK = 1 << 24
"""Numbers held at once in a block of gathered or converted keys."""


def distances(left: Tensor, right: Tensor) -> Tensor:
    """‖l − r‖₂ in fp32 for all pairs: (…, a, d) and (…, b, d) -> (…, a, b). Each pair by itself, never as a product.

    Either may be packed (:mod:`rv_edit.codebook.packing`).
    """
    with torch.autocast(left.device.type, enabled=False):
        return torch.cdist(widen(left), widen(right), compute_mode="donot_use_mm_for_euclid_dist")


def blocks(rows: int, width: int) -> list[slice]:
    """Slices of ``rows`` that hold about :data:`BLOCK` numbers each at ``width`` numbers a row."""
    step = max(1, BLOCK // max(1, width))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def product_dtype(device: torch.device) -> torch.dtype:
    """What preselecting products are computed in: fp32 where it is what it says, else fp64.

    A GPU may be set to TF32 and a CPU to bf16 products of fp32 numbers, whose errors no bound below covers.
    """
    plain = device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"
    return torch.float32 if plain else torch.float64


Wide = tuple[Tensor, Tensor, Tensor, float]


class Widened:
    """Keys as products want them, kept until other keys are asked for; key tensors never change in place.

    Keys are taken from a centre, since rounding grows with their length and all keys of a model lie to one side. Where
    keys were only added behind those known, only they are converted.
    """

    def __init__(self) -> None:
        # Replaced as a whole, so that threads that ask about the same keys at once never see half of it.
        self._kept: tuple[Tensor, Wide] | None = None

    def __call__(self, keys: Tensor) -> Wide:
        """Centre (d,), centred keys (n, d), their squared lengths (n,), and the greatest length."""
        kept, dtype = self._kept, product_dtype(keys.device)
        if kept is not None and kept[1][0].dtype != dtype:
            kept = None
        if kept is not None and kept[0] is keys:
            return kept[1]
        if kept is not None and _grew(kept[0], keys):
            start, (centre, before, squares_before, longest) = len(kept[0]), kept[1]
        else:
            # Any point serves as centre; a mean of some keys lies near that of all.
            centre = widen(keys[:: max(1, len(keys) // 4096)]).to(dtype).mean(dim=0)
            start, before, squares_before, longest = 0, None, None, 0.0
        wide = widen(keys[start:]).to(dtype) - centre  # not in place: keys in fp32 are not copied by widening
        squares = (wide**2).sum(1)
        longest = max(longest, float(squares.max().sqrt()) if len(squares) else 0.0)
        if before is not None and squares_before is not None:
            wide, squares = torch.cat([before, wide]), torch.cat([squares_before, squares])
        found = centre, wide, squares, longest
        self._kept = keys, found
        return found


def _grew(before: Tensor, after: Tensor) -> bool:
    """Whether ``after`` is ``before`` with rows behind it, in the same memory."""
    return (
        before.data_ptr() == after.data_ptr()
        and before.dtype == after.dtype
        and before.is_contiguous()
        and after.is_contiguous()
        and 0 < len(before) <= len(after)
        and before.shape[1] == after.shape[1]
    )


def nearest(
    queries: Tensor, keys: Tensor, k: int, scales: Tensor | None = None, widened: Widened | None = None
) -> tuple[Tensor, Tensor]:
    """The k nearest keys of each query, nearest first, ties to the lower index.

    Args:
        queries: (B, d) floating point.
        keys: (n, d) floating point, or packed.
        k: how many; min(k, n) come back.
        scales: (n,) fp32 > 0; distances to key j are divided by scales[j] (hubness correction).
        widened: of the caller, who asks about the same keys again and again.

    Returns:
        distances (B, k) fp32 and indices (B, k) int64.
    """
    k = min(k, len(keys))
    few = k == 1 and len(queries) * keys.numel() <= DIRECT_NUMBERS
    if few or len(keys) <= max(DIRECT_KEYS, k + SLACK[0]):
        return _ranked(_all_distances(queries, keys, scales), None, k)
    found: list[tuple[Tensor, Tensor]] = []
    widened = widened or Widened()
    for rows in blocks(len(queries), max(len(keys), (k + SLACK[-1]) * keys.shape[1])):
        found.append(_nearest_among_candidates(queries[rows].float(), keys, k, scales, widened))
    if not found:
        return queries.new_zeros(0, k, dtype=torch.float32), torch.zeros(0, k, dtype=torch.int64, device=keys.device)
    if len(found) == 1:
        return found[0]
    return torch.cat([part[0] for part in found]), torch.cat([part[1] for part in found])


@dataclass(frozen=True)
class _Estimates:
    """What a product says of the distances, and how far it may be off.

    Attributes:
        values: (B, n), growing with the distance: its square without the query's own length (``squared``), or a lower
            bound of the scaled distance.
        own: (B,) fp64 squared length of each query from the centre.
        off: (B,) fp64 most that a squared distance is off by; ``blur`` (B,) what roots of them are.
    """

    values: Tensor
    own: Tensor
    off: Tensor
    blur: Tensor
    squared: bool

    @classmethod
    def of(cls, queries: Tensor, keys: Tensor, scales: Tensor | None, widened: Widened) -> _Estimates:
        """One product of all queries with all keys (no TF32, no autocast)."""
        centre, wide, squares, longest = widened(keys)
        with torch.autocast(keys.device.type, enabled=False):
            centred = queries.to(wide.dtype) - centre
            values = torch.addmm(squares, centred, wide.T, alpha=-2.0)
        own = (centred**2).sum(1).double()
        # Rounding of a sum of products, in whatever order, grows with the lengths of the two vectors; squares are
        # summed in some 70 steps at most, and a few more come after.
        unit, reach = torch.finfo(wide.dtype).eps / 2, own.sqrt() + longest
        off = unit * (2 * (keys.shape[1] + 8) * own.sqrt() * longest + 80 * reach**2)
        blur = 2 * unit * reach  # of taking the centre from the two
        if scales is not None:
            low = (values + (own - off).to(values.dtype)[:, None]).clamp_(min=0).sqrt_()
            values = (low - blur.to(values.dtype)[:, None]) / scales.to(values.dtype) * (1 - 16 * unit)
        return cls(values, own, off, blur, scales is None)

    def select(self, rows: Tensor) -> _Estimates:
        """Those of some queries."""
        return _Estimates(self.values[rows], self.own[rows], self.off[rows], self.blur[rows], self.squared)

    def bound(self, values: Tensor) -> Tensor:
        """(B,) fp64 the least true distance of a key that is estimated at ``values`` (B,) or above."""
        if not self.squared:
            return values.double()
        return (values.double() + self.own - self.off).clamp(min=0).sqrt() - self.blur


def _nearest_among_candidates(
    queries: Tensor, keys: Tensor, k: int, scales: Tensor | None, widened: Widened
) -> tuple[Tensor, Tensor]:
    """Preselect by one product, then decide by exact distances; where near-ties leave doubt, look at more keys."""
    estimates = _Estimates.of(queries, keys, scales, widened)
    best, index, safe = _among(queries, estimates, keys, k, SLACK[0], scales)
    doubtful = (~safe).nonzero()[:, 0]
    if len(doubtful) and k + SLACK[1] < len(keys):
        values, order, safe = _among(queries[doubtful], estimates.select(doubtful), keys, k, SLACK[1], scales)
        best[doubtful], index[doubtful], doubtful = values, order, doubtful[~safe]
    for row in doubtful.tolist():
        everything = _all_distances(queries[row : row + 1], keys, scales)
        best[row], index[row] = (part[0] for part in _ranked(everything, None, k))
    return best, index


def _among(
    queries: Tensor, estimates: _Estimates, keys: Tensor, k: int, slack: int, scales: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The k best of the ``k + slack`` estimated nearest, and whether no other key can be among them, (B,) bool."""
    floor, candidates = estimates.values.topk(k + slack, dim=1, largest=False)
    candidates = candidates.sort(dim=1).values  # so that a stable sort breaks ties by index
    exact = distances(queries[:, None], keys[candidates])[:, 0]
    if scales is not None:
        exact = exact / scales[candidates]
    best, index = _ranked(exact, candidates, k)
    # fp32 rounding of an exact distance: no key outside the candidates may come closer than the k-th found.
    rounding = 1 - 2.0**-20 * max(1.0, keys.shape[1] / 16)
    return best, index, estimates.bound(floor[:, -1]) * rounding > best[:, -1].double()


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
