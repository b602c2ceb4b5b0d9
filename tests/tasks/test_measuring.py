"""The measures of a real (small) VLM against the plain way: a forward pass a node and layer, loops and networkx."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rv_edit.augment import ImageAugmenter
from rv_edit.embedding import DualEmbedding, KeySpace, TextEncoder
from rv_edit.errors import ConfigError
from rv_edit.tasks.measuring import measure_balance, measure_layers
from rv_edit.tasks.networks import Pools, build_network
from rv_edit.topology import Layout
from rv_edit.vlm import VLM
from tests.run.tiny_data import picture, record, reword
from tests.topology import reference

LAYOUT = Layout(pairs=3, variants=2, anchors=2, around=2)
POOLS = Pools(tuple(f"Fact {n}." for n in range(8)), tuple(picture(n) for n in range(20, 30)))


@pytest.fixture(scope="module")
def network():
    return build_network([record(index) for index in range(3)], LAYOUT, POOLS, reword, seed=0)


@pytest.fixture(scope="module")
def images(network):
    return network.open(ImageAugmenter(tile_pool=list(POOLS.pictures)), seed=0)


def plain_measures(points):
    """Five measures of (n, D) embeddings in the order of LAYOUT, by networkx and loops."""
    cross, variants, around = points[:9], points[9:15], points[15:].reshape(4, 2, 2, -1)
    weights = reference.network(cross)
    clusters = np.array([0, 3, 4, 5, 1, 6, 7, 8, 2, 0, 0, 1, 1, 2, 2])
    anchors = cross[[0, 4]]
    apart = np.mean([np.linalg.norm(cross[i] - cross[j]) for i in range(9) for j in range(i)])
    return [
        reference.by_networkx(weights, np.arange(9) // 3),
        reference.by_networkx(weights, np.arange(9) % 3),
        reference.by_networkx(reference.network(np.concatenate([cross, variants])), clusters),
        reference.bias(anchors, around[0], around[1]) / apart,
        reference.bias(anchors, around[2], around[3]) / apart,
    ]


def test_every_layer_and_pooling_against_the_plain_way(vlm: VLM, network, images):
    told: list[int] = []
    found = measure_layers(vlm, network, images, batch_size=5, progress=told.append)
    refs = vlm.layer_refs()
    assert found.shape == (len(refs), 2, 5) and found.dtype == torch.float64 and sum(told) == LAYOUT.nodes
    for which, pool in enumerate(("mean", "last")):
        single = [
            vlm.embed_layers([image.copy()], [text], pool=pool)
            for image, text in zip(images, network.texts, strict=True)
        ]
        for place, ref in enumerate(refs):
            points = torch.cat([node[ref] for node in single]).double().numpy()
            np.testing.assert_allclose(found[place, which], plain_measures(points), atol=1e-4, err_msg=f"{ref} {pool}")
    shallow = [place for place, ref in enumerate(refs) if not ref.text_dependent]
    assert bool((found[shallow, :, 3] > 0).all()) and bool((found[shallow, :, 4] < 0).all())


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_dual_embedding_over_a_grid_against_its_keys(vlm: VLM, encoder: TextEncoder, network, images, pooling):
    grid = torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64)
    space = KeySpace(layer=1, lam=1.0, vision_norm=3.0, text_norm=0.7, pooling=pooling)
    found = measure_balance(vlm, encoder, space, grid, network, images, batch_size=4)
    assert found.shape == (3, 5)
    for place, lam in enumerate(grid.tolist()):
        dual = DualEmbedding(vlm, encoder, replace(space, lam=lam))
        points = dual.keys(images, network.texts).double().numpy()
        np.testing.assert_allclose(found[place], plain_measures(points), atol=1e-4)
    assert found[0, 0] > found[2, 0] and found[0, 1] < found[2, 1]  # vision gives way to language


def test_numbers_that_are_not_finite_are_named(vlm: VLM, network, images):
    block = vlm.vision_blocks()[1]
    handle = block.register_forward_hook(lambda _module, _inputs, output: output * torch.inf)
    try:
        with pytest.raises(ConfigError, match=r"layers\.1.*not finite; try model\.vlm\.dtype=float32"):
            measure_layers(vlm, network, images, batch_size=8)
    finally:
        handle.remove()
