"""Sample modularity, biases and the five measures against loops; the choice of λ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rv_edit.topology import (
    Layout,
    balance,
    bimodal_partition,
    harmonic_mean,
    language_bias,
    log_grid,
    mean_distance,
    measures,
    over_networks,
    sample_modularity,
    vision_bias,
)
from tests.topology import reference


def space(seed, pairs, variants, noise=0.05, image=1.0, text=1.0, lead=(), uneven=1.0):
    """Cross product and variants in a space [image · v_i ; text · t_j] with variants a little off."""
    generator = torch.Generator().manual_seed(seed)
    v, t = (torch.eye(pairs, 6) + uneven * torch.randn(*lead, pairs, 6, generator=generator) for _ in range(2))
    left = (image * v)[..., :, None, :].expand(*lead, pairs, pairs, 6)
    right = (text * t)[..., None, :, :].expand(*lead, pairs, pairs, 6)
    anchors = torch.cat([image * v, text * t], dim=-1)[..., :, None, :]
    off = noise * torch.randn(*lead, pairs, variants, 12, generator=generator)
    return torch.cat([left, right], dim=-1), anchors + off


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(0, 3))
def test_three_partitions_against_networkx(seed, pairs, variants):
    cross, around = space(seed, pairs, variants)
    found = sample_modularity(cross, around)
    ids = [(i, j) for i in range(pairs) for j in range(pairs)]
    plain = reference.network(cross.reshape(-1, 12).double().numpy())
    nodes = torch.cat([cross.reshape(-1, 12), around.reshape(-1, 12)]).double().numpy()
    clusters = [f"{i}" if i == j else f"{i},{j}" for i, j in ids] + [
        f"{i}" for i in range(pairs) for _ in range(variants)
    ]
    both = np.unique(clusters, return_inverse=True)[1]
    for value, weights, groups in (
        (found.vision, plain, np.array([i for i, _ in ids])),
        (found.language, plain, np.array([j for _, j in ids])),
        (found.bimodal, reference.network(nodes), both),
    ):
        assert float(value) == pytest.approx(reference.by_networkx(weights, groups), abs=1e-9)


def test_a_cluster_of_an_anchor_has_as_many_nodes_as_there_are_pairs():
    sizes = torch.bincount(bimodal_partition(5, 4))
    assert sizes.tolist() == [5] * 5 + [1] * 20


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_each_space_is_best_at_its_own_partition(seed):
    seen, read, dual = (
        sample_modularity(*space(seed, 6, 5, image=image, text=text, uneven=0.05))
        for image, text in ((1, 0.01), (0.01, 1), (1, 1))
    )
    assert seen.vision > 0.05 > seen.language and read.language > 0.05 > read.vision
    assert dual.bimodal > max(seen.bimodal, read.bimodal)


def test_all_leading_dimensions_at_once():
    cross, around = space(3, 3, 2, lead=(2, 4))
    found = sample_modularity(cross, around)
    for at in np.ndindex(2, 4):
        alone = sample_modularity(cross[at], around[at])
        assert [float(value[at]) for value in found] == pytest.approx([float(value) for value in alone], abs=1e-12)


def test_networks_that_collapse_have_values_without_nan():
    found = sample_modularity(torch.ones(3, 3, 4), torch.ones(3, 2, 4))
    assert float(found.vision) == pytest.approx(18 / 72 - 1 / 3) == float(found.language)
    assert float(found.bimodal) == pytest.approx(18 / 210 - (3 * 9 + 6) / 225)
    layout = Layout(3, 2, 2, 2)
    assert all(math.isfinite(float(value)) for value in measures(torch.ones(layout.nodes, 4), layout))
    single = Layout(1, 0, 1, 1)
    assert measures(torch.randn(5, 4), single)[:3] == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("bias", "sign"), [(vision_bias, 1), (language_bias, -1)])
def test_biases_against_loops_and_by_their_sign(bias, sign):
    generator = np.random.default_rng(0)
    anchors, similar, other = (generator.normal(size=shape) for shape in ((4, 6), (4, 3, 6), (4, 5, 6)))
    tensors = [torch.from_numpy(part) for part in (anchors, similar, other)]
    expected = reference.bias(anchors, similar, other)
    assert float(bias(*tensors)) == pytest.approx(expected)
    assert float(bias(*tensors, scale=torch.tensor(4.0))) == pytest.approx(expected / 4)
    assert float(bias(*tensors, scale=torch.tensor(0.0))) == 0.0
    stacked = bias(*(torch.stack([part, 2 * part]) for part in tensors), scale=torch.tensor([1.0, 2.0]))
    assert stacked.tolist() == pytest.approx([expected, expected])
    # A space of the picture alone: another text changes nothing, an augmented picture does.
    image, text = torch.randn(4, 3), torch.randn(4, 3)
    moved = image[:, None] + 0.1 * torch.randn(4, 2, 3)
    seen = torch.cat([image, 0 * text], dim=-1)
    augmented = torch.cat([moved, 0 * moved], dim=-1)
    swapped = seen[:, None].expand(4, 2, 6)
    found = bias(seen, augmented, swapped) if sign > 0 else bias(seen, swapped, augmented)
    assert sign * float(found) > 0


def test_five_measures_are_those_of_their_parts():
    layout = Layout(pairs=4, variants=3, anchors=2, around=2)
    assert layout.nodes == 16 + 12 + 16
    points = torch.randn(5, layout.nodes, 7, generator=torch.Generator().manual_seed(5))
    found = measures(points, layout)
    cross, variants, around = points[:, :16], points[:, 16:28], points[:, 28:].reshape(5, 4, 2, 2, 7)
    parts = sample_modularity(cross.reshape(5, 4, 4, 7), variants.reshape(5, 4, 3, 7))
    anchors, scale = cross[:, [0, 5]], mean_distance(cross)
    expected = (
        *parts,
        vision_bias(anchors, around[:, 0], around[:, 1], scale),
        language_bias(anchors, around[:, 2], around[:, 3], scale),
    )
    for name, value, other in zip(found._fields, found, expected, strict=True):
        np.testing.assert_allclose(value, other, atol=1e-12, err_msg=name)
    for value, other in zip(measures(points * 1e3, layout), found, strict=True):
        np.testing.assert_allclose(value, other, atol=1e-7)


def test_mean_and_deviation_over_networks():
    values = torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]], dtype=torch.float64)
    mean, spread = over_networks(values)
    assert mean.tolist() == [3.0, 4.0] and spread.tolist() == pytest.approx([np.std([1, 2, 6], ddof=1), 0.0])
    assert [part.tolist() for part in over_networks(values[:, :1])] == [[1.0, 4.0], [0.0, 0.0]]
    with pytest.raises(ValueError, match="at least one"):
        over_networks(values[:, :0])


MODULARITY = st.floats(-1, 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(MODULARITY, MODULARITY), min_size=1, max_size=9))
def test_the_choice_of_lambda_is_the_best_harmonic_mean(grid):
    vision, language = (torch.tensor(part, dtype=torch.float64) for part in zip(*grid, strict=True))
    expected = [2 / (1 / v + 1 / q) if v > 1e-300 and q > 1e-300 else 0.0 for v, q in grid]
    np.testing.assert_allclose(harmonic_mean(vision, language), expected, atol=1e-12)
    found = balance(vision, language)
    assert float(found.score) == pytest.approx(max(expected), abs=1e-12)
    scores = harmonic_mean(vision, language).tolist()
    assert int(found.place) == scores.index(max(scores))


def test_the_choice_of_lambda_by_network_and_ties_to_the_first():
    vision, language = (
        torch.tensor([[0.4, 0.2, 0.1], [0.3, 0.3, 0.0]]),
        torch.tensor([[-0.1, 0.1, 0.2], [0.3, 0.3, 0.9]]),
    )
    found = balance(vision, language)
    assert found.place.tolist() == [1, 0] and found.score.tolist() == pytest.approx([2 * 0.2 * 0.1 / 0.3, 0.3])
    assert float(balance(torch.tensor([-0.1]), torch.tensor([0.5])).score) == 0.0
    with pytest.raises(ValueError, match="at least one"):
        balance(torch.zeros(0), torch.zeros(0))


def test_grid_of_lambda():
    grid = log_grid(0.05, 20, 27)
    np.testing.assert_allclose(grid, np.geomspace(0.05, 20, 27))
    for low, high in ((0.05, 20.0), (0.3, 7.0), (1e-30, 1e30)):  # the ends as they were given, to the last bit
        assert log_grid(low, high, 5)[[0, -1]].tolist() == [low, high]
    assert log_grid(2.0, 2.0, 1).tolist() == [pytest.approx(2.0)]
    for wrong in ((0.0, 1.0, 5), (2.0, 1.0, 5), (1.0, 2.0, 1), (1.0, math.inf, 3), (math.nan, 1.0, 3)):
        with pytest.raises(ValueError, match="grid"):
            log_grid(*wrong)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sample_modularity(torch.zeros(3, 2, 4), torch.zeros(3, 1, 4)),
        lambda: sample_modularity(torch.zeros(3, 3, 4), torch.zeros(2, 1, 4)),
        lambda: sample_modularity(torch.zeros(3, 3, 4), torch.zeros(3, 1, 5)),
        lambda: vision_bias(torch.zeros(3, 4), torch.zeros(3, 0, 4), torch.zeros(3, 1, 4)),
        lambda: language_bias(torch.zeros(3, 4), torch.zeros(3, 1, 4), torch.zeros(2, 1, 4)),
        lambda: Layout(2, 1, 3, 1),
        lambda: Layout(2, 1, 2, 0),
        lambda: measures(torch.zeros(3, 4), Layout(2, 1, 1, 1)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call):
    with pytest.raises(ValueError, match="give|nodes"):
        call()
