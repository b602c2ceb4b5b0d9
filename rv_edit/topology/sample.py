"""Sample modularity: the three expected partitions of a sampled network, and estimates over networks (paper A.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rv_edit.topology.modularity import embedding_modularity
from rv_edit.topology.network import MAX_ELEMENTS


class SampleModularity(NamedTuple):
    """Q_V, Q_L and Q_B of each network, (...,) fp64."""

    vision: Tensor
    language: Tensor
    bimodal: Tensor


def vision_partition(pairs: int) -> Tensor:
    """(M²,) group of each node (i, j) of the cross product, texts fastest: its picture i (paper 3.3).

    >>> vision_partition(2).tolist()
    [0, 0, 1, 1]
    """
    return torch.arange(pairs).repeat_interleave(pairs)


def language_partition(pairs: int) -> Tensor:
    """(M²,) group of each node (i, j) of the cross product, texts fastest: its text j (paper 3.3).

    >>> language_partition(2).tolist()
    [0, 1, 0, 1]
    """
    return torch.arange(pairs).repeat(pairs)


def bimodal_partition(pairs: int, variants: int) -> Tensor:
    """(M² + MA,) groups of the cross product and, behind it, A variants of each anchor (i, i), anchor by anchor.

    An anchor and its variants are one cluster; every mismatched pair is one by itself (paper 3.3, A.1).

    >>> bimodal_partition(2, 1).tolist()
    [0, 2, 3, 1, 0, 1]
    """
    cross = torch.empty(pairs, pairs, dtype=torch.long)
    matched = torch.eye(pairs, dtype=torch.bool)
    cross[matched] = torch.arange(pairs)
    cross[~matched] = torch.arange(pairs, pairs * pairs)
    return torch.cat([cross.flatten(), torch.arange(pairs).repeat_interleave(variants)])


def sample_modularity(cross: Tensor, variants: Tensor, max_elements: int = MAX_ELEMENTS) -> SampleModularity:
    """Vision, language and bimodal modularity of sampled networks (paper 3.3, A.1).

    Q_V and Q_L are of the network of the cross product, Q_B of the network with the variants in it as well.

    Args:
        cross: (..., M, M, D), the embedding of picture i with text j at [i, j].
        variants: (..., M, A, D), A augmented (picture', text') of each anchor; the paper takes A = M − 1.
        max_elements: as in :func:`embedding_modularity`.

    Returns:
        (...,) each.

    Raises:
        ValueError: the shapes do not fit, or numbers that are not finite.
    """
    pairs = cross.shape[-2]
    fits = cross.ndim >= 3 and variants.ndim == cross.ndim and cross.shape[-3] == pairs == variants.shape[-3]
    if not fits or cross.shape[:-3] != variants.shape[:-3] or cross.shape[-1] != variants.shape[-1]:
        shapes = f"cross {tuple(cross.shape)}, variants {tuple(variants.shape)}"
        raise ValueError(f"{shapes}: give (..., M, M, D) and (..., M, A, D)")
    nodes = cross.flatten(-3, -2)
    unimodal = torch.stack([vision_partition(pairs), language_partition(pairs)])
    found = embedding_modularity(nodes, unimodal, max_elements)
    nodes = torch.cat([nodes, variants.flatten(-3, -2)], dim=-2)
    bimodal = embedding_modularity(nodes, bimodal_partition(pairs, variants.shape[-2]), max_elements)
    return SampleModularity(found[..., 0], found[..., 1], bimodal)


def over_networks(values: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over independent networks (paper A.1, equation 2).

    Args:
        values: measures of N ≥ 1 networks along ``dim``.
        dim: the dimension of the networks.

    Returns:
        two tensors without that dimension; the deviation (N − 1 degrees of freedom) of a single network is 0.
    """
    if values.shape[dim] < 1:
        raise ValueError("no network to average over; give at least one")
    spread = values.std(dim=dim) if values.shape[dim] > 1 else torch.zeros_like(values.select(dim, 0))
    return values.mean(dim=dim), spread
