"""The similarity network against the formula, pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rv_edit.topology import mean_distance, pairwise_distances, similarity, similarity_network
from tests.topology import reference

POINTS = arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.integers(-50, 50))
"""Whole numbers, so that equal distances really are equal."""


@settings(max_examples=100, deadline=None)
@given(POINTS)
def test_weights_are_those_of_the_formula(points):
    weights = similarity_network(torch.from_numpy(points))
    np.testing.assert_allclose(weights.numpy(), reference.network(points), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(POINTS, st.integers(-30, 30), st.floats(-100, 100))
def test_neither_scale_nor_place_of_the_embeddings_matters(points, power, shift):
    plain = similarity_network(torch.from_numpy(points))
    np.testing.assert_allclose(similarity_network(torch.from_numpy(points * 7.0**power)), plain, atol=1e-7)
    np.testing.assert_allclose(similarity_network(torch.from_numpy(points + shift)), plain, atol=1e-6)


def test_leading_dimensions_are_separate_networks():
    points = torch.randn(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    weights, distances, means = similarity_network(points), pairwise_distances(points), mean_distance(points)
    assert weights.shape == distances.shape == (2, 3, 7, 7) and means.shape == (2, 3)
    for at in np.ndindex(2, 3):
        np.testing.assert_allclose(weights[at], reference.network(points[at].double().numpy()), atol=1e-9)
        direct = np.linalg.norm(points[at].numpy()[:, None].astype(float) - points[at].numpy()[None], axis=-1)
        np.testing.assert_allclose(distances[at], direct, atol=1e-9)
        assert float(means[at]) == pytest.approx(direct[np.triu_indices(7, 1)].mean())
    np.testing.assert_allclose(mean_distance(points, max_elements=20), means, atol=1e-12)
    assert similarity_network(points[:, :0]).shape == (2, 0, 7, 7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_equal_embeddings_are_exactly_zero_apart(dtype):
    """A vision layer gives each picture's nodes one vector, far from the origin and known to a few digits."""
    distinct = (1000 + torch.randn(4, 64, generator=torch.Generator().manual_seed(1))).to(dtype)
    distances = pairwise_distances(distinct.repeat_interleave(3, dim=0))
    same = torch.arange(12)[:, None] // 3 == torch.arange(12) // 3
    assert bool((distances[same] == 0).all()) and bool((distances[~same] > 0).all())


@pytest.mark.parametrize(
    "points",
    [
        torch.zeros(5, 3),
        torch.full((5, 3), 123.456),
        torch.full((5, 0), 1.0),
        torch.eye(6) * 3,
        torch.eye(4, dtype=torch.float64) * 1e-200,
        torch.tensor([[0.3, 7.1], [9.9, 2.2]]),
    ],
    ids=["all zero", "all the same", "no width", "a simplex", "a tiny simplex", "two nodes"],
)
def test_a_network_without_nearer_or_farther_pairs_is_uniform(points):
    assert torch.equal(similarity_network(points), 1 - torch.eye(len(points), dtype=torch.float64))


def test_a_single_node_has_no_weight():
    assert similarity_network(torch.ones(1, 4)).tolist() == [[0.0]]
    assert similarity(torch.zeros(1, 1)).tolist() == [[0.0]] and float(mean_distance(torch.ones(1, 4))) == 0.0


def test_a_spread_of_rounding_alone_is_no_spread():
    """Equal pictures whose states differ by fp32 rounding must not become a network of noise."""
    noise = torch.randn(6, 32, generator=torch.Generator().manual_seed(2)) * 1e-7
    assert torch.equal(similarity_network(1 + noise), 1 - torch.eye(6, dtype=torch.float64))


@pytest.mark.parametrize("power", [-300, -150, 30, 150])
def test_no_size_of_numbers_leaves_the_range(power):
    points = torch.randn(6, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    plain, scaled = similarity_network(points), similarity_network(points * 10.0**power)
    np.testing.assert_allclose(scaled, plain, atol=1e-9)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (torch.tensor([[0.0], [torch.nan]]), "not finite"),
        (torch.tensor([[0.0], [torch.inf]]), "not finite"),
        (torch.zeros(3), "n, D"),
        (torch.zeros(0, 3), "n ≥ 1"),
        (torch.zeros(3, 3, dtype=torch.long), "floats"),
    ],
)
def test_what_has_no_network_is_refused(points, said):
    with pytest.raises(ValueError, match=said):
        similarity_network(points)
