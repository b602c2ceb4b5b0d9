"""The formulas of the paper in loops and numpy, which know nothing of the package."""

from __future__ import annotations

import itertools
import math
from typing import Any

import networkx as nx
import numpy as np

Array = np.ndarray[Any, Any]


def network(points: Array) -> Array:
    """Similarities of (n, D) points, pair by pair (A.1)."""
    count = len(points)
    distance = {(i, j): math.dist(points[i], points[j]) for i, j in itertools.combinations(range(count), 2)}
    low, high = min(distance.values(), default=0.0), max(distance.values(), default=0.0)
    weights = np.zeros((count, count))
    for (i, j), d in distance.items():
        weights[i, j] = weights[j, i] = 1.0 if high == low else 1 - (d - low) / (high - low)
    return weights


def newman(weights: Array, groups: Array) -> float:
    """Equation 1, term by term."""
    total, strength = weights.sum(), weights.sum(axis=1)
    if total == 0:
        return 0.0
    terms = (
        weights[i, j] - strength[i] * strength[j] / total
        for i in range(len(weights))
        for j in range(len(weights))
        if groups[i] == groups[j]
    )
    return math.fsum(terms) / float(total)


def by_networkx(weights: Array, groups: Array) -> float:
    """The library's own modularity of the same network."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(weights)))
    graph.add_weighted_edges_from(
        (i, j, weights[i, j]) for i, j in itertools.combinations(range(len(weights)), 2) if weights[i, j] > 0
    )
    communities = [set(np.flatnonzero(groups == group)) for group in np.unique(groups)]
    return float(nx.community.modularity(graph, communities, weight="weight"))


def bias(anchors: Array, similar: Array, mismatched: Array) -> float:
    """A.2 for (M, D), (M, A, D) and (M, K, D)."""
    far = [[math.dist(anchor, other) for other in others] for anchor, others in zip(anchors, similar, strict=True)]
    near = [[math.dist(anchor, other) for other in others] for anchor, others in zip(anchors, mismatched, strict=True)]
    return float(np.mean([np.mean(a) - np.mean(b) for a, b in zip(far, near, strict=True)]))
