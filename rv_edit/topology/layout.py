"""Which node of a sampled network is which, and the five measures of all of them at once (paper 3.3, A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rv_edit.topology.bias import language_bias, vision_bias
from rv_edit.topology.network import MAX_ELEMENTS, mean_distance
from rv_edit.topology.sample import sample_modularity


class Measures(NamedTuple):
    """The five measures, (...,) fp64 each; the biases as shares of the cross product's mean distance."""

    vision_modularity: Tensor
    language_modularity: Tensor
    bimodal_modularity: Tensor
    vision_bias: Tensor
    language_bias: Tensor


@dataclass(frozen=True)
class Layout:
    """Order of the nodes of a sampled network, as :func:`measures` takes them.

    First M × M picture–text pairs (i, j), texts fastest; then A variants of each anchor (i, i) in both parts; then,
    for the first B anchors, K nodes each of: similar picture, other text, similar text, other picture, the other part
    as it was.

    Attributes:
        pairs: M.
        variants: A; the paper takes M − 1.
        anchors: B ≤ M, those whose biases are measured.
        around: K.
    """

    pairs: int
    variants: int
    anchors: int
    around: int

    def __post_init__(self) -> None:
        if not 1 <= self.anchors <= self.pairs or self.variants < 0 or self.around < 1:
            raise ValueError(f"{self}: give 1 ≤ anchors ≤ pairs, variants ≥ 0 and around ≥ 1")

    @property
    def cross_nodes(self) -> int:
        """M²."""
        return self.pairs * self.pairs

    @property
    def nodes(self) -> int:
        """M² + MA + 4BK."""
        return self.cross_nodes + self.pairs * self.variants + 4 * self.anchors * self.around


def measures(embeddings: Tensor, layout: Layout, max_elements: int = MAX_ELEMENTS) -> Measures:
    """Modularities and biases of networks embedded in the order of ``layout`` (paper 3.3, A.1, A.2).

    Args:
        embeddings: (..., n, D) floats, n = ``layout.nodes``.
        layout: what the nodes are.
        max_elements: as in :func:`rv_edit.topology.embedding_modularity`.

    Returns:
        (...,) each.

    Raises:
        ValueError: another number of nodes, or numbers that are not finite.
    """
    if embeddings.ndim < 2 or embeddings.shape[-2] != layout.nodes:
        raise ValueError(f"embeddings {tuple(embeddings.shape)}: {layout} has {layout.nodes} nodes")
    m, a, b, k = layout.pairs, layout.variants, layout.anchors, layout.around
    cross, variants, rest = embeddings.split([m * m, m * a, 4 * b * k], dim=-2)
    near = rest.unflatten(-2, (4, b, k))
    similar_image, other_text, similar_text, other_image = near.unbind(dim=-4)
    anchors = cross[..., torch.arange(b) * (m + 1), :]
    found = sample_modularity(cross.unflatten(-2, (m, m)), variants.unflatten(-2, (m, a)), max_elements)
    scale = mean_distance(cross, max_elements)
    return Measures(
        found.vision,
        found.language,
        found.bimodal,
        vision_bias(anchors, similar_image, other_text, scale),
        language_bias(anchors, similar_text, other_image, scale),
    )
