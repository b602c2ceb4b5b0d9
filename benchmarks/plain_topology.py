"""The topology study the plain way: one forward pass a node and layer, distances in numpy, modularity by networkx.

It takes the model and the processor as ``transformers`` gives them and knows nothing of how the project computes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]
MEASURES = ("vision_modularity", "language_modularity", "bimodal_modularity", "vision_bias", "language_bias")


def layer_of_node(vlm: Any, ref: Any, image: Image.Image, text: str) -> Floats:
    """(2, D) mean over tokens and last token of one layer, for one picture–text pair, by one whole forward pass."""
    kept: list[torch.Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        hidden = output if isinstance(output, torch.Tensor) else output[0]
        kept.append(hidden.float().cpu())

    module = dict(vlm.model.named_modules())[ref.path]
    inputs = vlm.processor(images=image, text=str(vlm.format_prompt(text)), return_tensors="pt")
    handle = module.register_forward_hook(keep)
    try:
        with torch.no_grad():
            vlm.model(**{name: value.to(vlm.device) for name, value in inputs.items()}, use_cache=False)
    finally:
        handle.remove()
    tokens = kept[0].reshape(-1, kept[0].shape[-1]).double().numpy()
    return np.stack([tokens.mean(axis=0), tokens[-1]])


def distances(points: Floats) -> Floats:
    """(n, n) of (n, D), a row at a time."""
    return np.stack([np.linalg.norm(points - point, axis=1) for point in points])


def graph(points: Floats) -> nx.Graph:
    """The similarity network of (n, D) points (paper A.1)."""
    apart = distances(points)
    pairs = list(itertools.combinations(range(len(points)), 2))
    low, high = min(apart[pair] for pair in pairs), max(apart[pair] for pair in pairs)
    made = nx.Graph()
    made.add_nodes_from(range(len(points)))
    weights = ((i, j, 1.0 - (apart[i, j] - low) / (high - low)) for i, j in pairs)
    made.add_weighted_edges_from(edge for edge in weights if edge[2] > 0)
    return made


def modularity(network: nx.Graph, groups: Sequence[int]) -> float:
    """Newman's modularity as networkx computes it."""
    communities: dict[int, set[int]] = {}
    for node, group in enumerate(groups):
        communities.setdefault(group, set()).add(node)
    return float(nx.community.modularity(network, list(communities.values()), weight="weight"))


def bias(anchors: Floats, similar: Floats, mismatched: Floats) -> float:
    """(B, D), (B, K, D) and (B, K, D): how much farther the similar ones are (paper A.2)."""
    far, near = (np.linalg.norm(around - anchors[:, None], axis=2).mean() for around in (similar, mismatched))
    return float(far - near)


def measures(points: Floats, pairs: int, variants: int, anchors: int, around: int) -> list[float]:
    """The five measures of (n, D) points in the order of ``rv_edit.topology.Layout``."""
    cross, made, rest = np.split(points, [pairs * pairs, pairs * pairs + pairs * variants])
    near = rest.reshape(4, anchors, around, -1)
    chosen = cross[[anchor * (pairs + 1) for anchor in range(anchors)]]
    unimodal = graph(cross)
    alone = itertools.count(pairs)
    clusters = [i if i == j else next(alone) for i in range(pairs) for j in range(pairs)]
    clusters += [anchor for anchor in range(pairs) for _ in range(variants)]
    scale = distances(cross).sum() / (len(cross) * (len(cross) - 1))
    return [
        modularity(unimodal, [node // pairs for node in range(len(cross))]),
        modularity(unimodal, [node % pairs for node in range(len(cross))]),
        modularity(graph(np.concatenate([cross, made])), clusters),
        bias(chosen, near[0], near[1]) / scale,
        bias(chosen, near[2], near[3]) / scale,
    ]
