"""Hubness correction: distances in units of how crowded a key's surroundings are. An option of retrieval."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rv_edit.codebook.maths import linear_percentile
from rv_edit.codebook.pairs import histogram, histogram_percentile
from rv_edit.codebook.search import blocks, distances


def hub_scales(keys: Tensor, neighbours: int) -> Tensor:
    """σ (n,) fp32: median distance of each key to its ``neighbours`` nearest others (fewer where there are fewer).

    A key that coincides with most of its neighbours takes the smallest positive σ, or 1 where there is none.
    """
    count = min(neighbours, len(keys) - 1)
    if count < 1:
        return torch.ones(len(keys), dtype=torch.float32, device=keys.device)
    scales = []
    for rows in blocks(len(keys), max(len(keys), keys.shape[1])):
        near = distances(keys[rows], keys).cpu().numpy()
        near[np.arange(len(near)), np.arange(rows.start, rows.stop)] = np.inf
        scales.append(np.median(np.partition(near, count - 1, axis=1)[:, :count], axis=1))
    sigma = np.concatenate(scales).astype(np.float32)
    positive = sigma[sigma > 0]
    sigma[sigma == 0] = positive.min() if len(positive) else 1.0
    return torch.from_numpy(sigma).to(keys.device)


def corrected_percentile(keys: Tensor, scales: Tensor, percent: float, exact_keys: int) -> float:
    """Percentile of d(i, j) / σ_j over all ordered pairs i ≠ j; exact up to ``exact_keys`` keys, to 0.2 % beyond."""
    exact = len(keys) <= exact_keys
    values, counts = [], histogram(np.zeros(0))
    for rows in blocks(len(keys), max(len(keys), keys.shape[1])):
        part = (distances(keys[rows], keys) / scales).cpu().numpy()
        others = part[np.arange(rows.start, rows.stop)[:, None] != np.arange(len(keys))]
        if exact:
            values.append(others)
        else:
            counts += histogram(others)
    if not exact:
        return histogram_percentile(counts, percent)
    ordered = np.sort(np.concatenate(values))
    return linear_percentile(lambda rank: float(ordered[rank]), len(ordered), percent)
