"""Modularity against networkx and against the formula, term by term."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rv_edit.topology import embedding_modularity, modularity, similarity_network
from tests.topology import reference


@st.composite
def networks(draw):
    """Symmetric weights, some of them zero, and a partition."""
    seed, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(2, 12))
    generator = np.random.default_rng(seed)
    weights = generator.uniform(size=(count, count)) * (generator.uniform(size=(count, count)) < 0.7)
    weights = np.triu(weights, 1)
    weights[0, 1] = 0.5  # networkx divides by zero without any edge
    return weights + weights.T, generator.integers(0, draw(st.integers(1, 5)), count)


@settings(max_examples=80, deadline=None)
@given(networks())
def test_any_network_and_partition_against_networkx_and_the_formula(case):
    weights, groups = case
    found = float(modularity(torch.from_numpy(weights), torch.from_numpy(groups)))
    assert found == pytest.approx(reference.by_networkx(weights, groups), abs=1e-9)
    assert found == pytest.approx(reference.newman(weights, groups), abs=1e-9)
    assert -1 <= found <= 1


@settings(max_examples=60, deadline=None)
@given(networks(), st.floats(1e-300, 1e300))
def test_the_scale_of_weights_does_not_matter(case, scale):
    weights, groups = torch.from_numpy(case[0]), torch.from_numpy(case[1])
    assert float(modularity(weights * scale, groups)) == pytest.approx(float(modularity(weights, groups)), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(networks(), st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_the_names_of_groups_do_not_matter(case, random):
    weights, groups = torch.from_numpy(case[0]), torch.from_numpy(case[1])
    order = list(range(len(groups)))
    random.shuffle(order)
    renamed = groups[order] * -7 + 3
    assert float(modularity(weights[order][:, order], renamed)) == pytest.approx(
        float(modularity(weights, groups)), abs=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_embeddings_against_networkx_whatever_their_scale(clusters, size, seed, scale):
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(clusters, 1, 6)) * 3 + generator.normal(size=(clusters, size, 6))
    points = points.reshape(-1, 6)
    groups = np.arange(clusters).repeat(size)
    found = float(embedding_modularity(torch.from_numpy(points * scale), torch.from_numpy(groups)))
    assert found == pytest.approx(reference.by_networkx(reference.network(points), groups), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_the_true_partition_beats_a_random_one(clusters, size, seed):
    generator = np.random.default_rng(seed)
    centres = 10 * np.eye(clusters, 8)
    points = torch.from_numpy((centres[:, None] + generator.normal(size=(clusters, size, 8)) * 0.1).reshape(-1, 8))
    true = torch.arange(clusters).repeat_interleave(size)
    random = true[torch.from_numpy(generator.permutation(len(true)))]
    together = true[:, None] == true
    if torch.equal(together, random[:, None] == random):
        return
    assert float(embedding_modularity(points, true)) > float(embedding_modularity(points, random)) + 1e-3


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_blocks_of_any_size_give_what_the_whole_network_gives(max_elements, seed):
    points = torch.randn(2, 3, 11, 4, generator=torch.Generator().manual_seed(seed))
    groups = torch.randint(0, 4, (2, 11), generator=torch.Generator().manual_seed(seed))
    found = embedding_modularity(points, groups, max_elements)
    assert found.shape == (2, 3, 2) and found.dtype == torch.float64
    whole = torch.stack([modularity(similarity_network(points), row) for row in groups], dim=-1)
    np.testing.assert_allclose(found, whole, atol=1e-12)
    np.testing.assert_allclose(embedding_modularity(points, groups[0], max_elements), whole[..., 0], atol=1e-12)


@pytest.mark.parametrize(
    ("points", "groups", "expected"),
    [
        (torch.zeros(4, 3), [0, 0, 1, 1], 4 / 12 - 1 / 2),  # a uniform network of n nodes: Σ m(m−1)/n(n−1) − (m/n)²
        (torch.eye(6), [0, 0, 0, 1, 1, 2], 8 / 30 - 14 / 36),
        (torch.tensor([[0.0], [1.0]]), [0, 1], -0.5),
        (torch.tensor([[0.0], [1.0]]), [4, 4], 0.0),
        (torch.ones(1, 3), [0], 0.0),
    ],
    ids=["all the same", "a simplex", "two nodes apart", "two nodes together", "one node"],
)
def test_degenerate_networks_have_a_value(points, groups, expected):
    groups = torch.tensor(groups)
    assert float(embedding_modularity(points, groups)) == pytest.approx(expected, abs=1e-12)
    assert float(modularity(similarity_network(points), groups)) == pytest.approx(expected, abs=1e-12)


def test_no_weight_at_all_is_zero_beside_networks_with_some():
    pair = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    found = modularity(torch.stack([torch.zeros(4, 4), torch.block_diag(pair, pair)]), torch.tensor([0, 0, 1, 1]))
    assert found.tolist() == [0.0, 0.5]


def test_groups_may_differ_by_network():
    weights = torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(0))
    weights = (weights + weights.mT).masked_fill(torch.eye(5, dtype=torch.bool), 0)
    groups = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 2, 3, 4], [0, 0, 0, 0, 0]])
    for at in range(3):
        expected = reference.newman(weights[at].double().numpy(), groups[at].numpy())
        assert float(modularity(weights, groups)[at]) == pytest.approx(expected, abs=1e-9)


def test_peak_memory_does_not_grow_with_layers_times_nodes_squared():
    """Counted: no tensor made on the way is larger than the limit, bar one network's embeddings."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.untyped_storage().nbytes() > 8 * largest:
                largest = max(largest, result.numel())
            return result

    points = torch.randn(12, 60, 8, generator=torch.Generator().manual_seed(0))
    with Counting():
        embedding_modularity(points, torch.arange(60) % 4, max_elements=1000)
    assert largest <= points.numel() < 12 * 60 * 60 / 7


@pytest.mark.parametrize(
    "call",
    [
        lambda: modularity(torch.zeros(3, 4), torch.zeros(4)),
        lambda: modularity(torch.zeros(4, 4), torch.zeros(3)),
        lambda: modularity(torch.zeros(4, 4), torch.tensor(0)),
        lambda: embedding_modularity(torch.zeros(4, 2), torch.zeros(3)),
        lambda: embedding_modularity(torch.zeros(4, 2), torch.zeros(2, 2, 4)),
        lambda: embedding_modularity(torch.full((4, 2), torch.nan), torch.zeros(4)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call):
    with pytest.raises(ValueError, match="give|finite"):
        call()
