import numpy as np
import pytest
import torch

from rv_edit.codebook import search
from rv_edit.codebook.search import distances, nearest


def by_numpy(queries, keys, k, scales=None):
    d = np.sqrt(((queries.double().numpy()[:, None] - keys.double().numpy()[None]) ** 2).sum(-1))
    d = d if scales is None else d / scales.double().numpy()
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(d, order, 1), order


@pytest.mark.parametrize("n", [1, 3, 40, 300, 1500])
@pytest.mark.parametrize("scaled", [False, True])
def test_nearest_is_brute_force(n, scaled):
    generator = torch.Generator().manual_seed(n)
    keys, queries = torch.randn(n, 24, generator=generator).half(), torch.randn(50, 24, generator=generator)
    scales = torch.rand(n, generator=generator) + 0.5 if scaled else None
    d, index = nearest(queries, keys, 5, scales)
    expected, order = by_numpy(queries, keys.float(), 5, scales)
    assert np.array_equal(index.numpy(), order)
    np.testing.assert_allclose(d.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("n", [100, 700])
def test_a_query_fares_the_same_alone_and_in_any_batch(n):
    generator = torch.Generator().manual_seed(1)
    keys = (torch.randn(n, 200, generator=generator) * 1e-3 + 5).half()  # far from 0: cancellation at its worst
    queries = torch.randn(64, 200, generator=generator) * 1e-3 + 5
    d, index = nearest(queries, keys, 5)
    for rows in (slice(0, 1), slice(3, 10), slice(10, 64)):
        part, where = nearest(queries[rows], keys, 5)
        assert torch.equal(part, d[rows])
        assert torch.equal(where, index[rows])


def test_preselection_and_full_search_agree_bit_for_bit(monkeypatch):
    generator = torch.Generator().manual_seed(2)
    keys = torch.randn(600, 33, generator=generator).half()
    queries = torch.cat([torch.randn(20, 33, generator=generator), keys[:20].float()])
    quick = nearest(queries, keys, 7)
    monkeypatch.setattr(search, "DIRECT_KEYS", 10_000)
    for left, right in zip(quick, nearest(queries, keys, 7), strict=True):
        assert torch.equal(left, right)


def test_equal_keys_come_in_the_order_of_their_index_however_many():
    keys = torch.zeros(400, 8).half()
    keys[:100] = 1
    _, index = nearest(torch.zeros(1, 8), keys, 5)
    assert index.tolist() == [[100, 101, 102, 103, 104]]


def test_blocks_do_not_show(monkeypatch):
    generator = torch.Generator().manual_seed(3)
    keys, queries = torch.randn(500, 10, generator=generator).half(), torch.randn(30, 10, generator=generator)
    whole = nearest(queries, keys, 4)
    monkeypatch.setattr(search, "BLOCK", 777)
    for left, right in zip(whole, nearest(queries, keys, 4), strict=True):
        assert torch.equal(left, right)


def test_distances_are_symmetric_and_ignore_autocast():
    generator = torch.Generator().manual_seed(4)
    a, b = torch.randn(5, 129, generator=generator), torch.randn(7, 129, generator=generator)
    d = distances(a, b)
    assert torch.equal(d, distances(b, a).T)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(distances(a, b), d)
        assert torch.equal(nearest(a, b, 3)[0], d.sort(1).values[:, :3])


def test_no_queries_give_no_rows():
    assert nearest(torch.zeros(0, 4), torch.randn(500, 4), 5)[0].shape == (0, 5)
    assert nearest(torch.zeros(0, 4), torch.randn(5, 4), 9)[1].shape == (0, 5)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_single_nearest_is_brute_force_alone_and_in_a_batch(scaled):
    """One query is compared with all keys, many are preselected: the same distances and indices, ties included."""
    generator = torch.Generator().manual_seed(4)
    keys, queries = torch.randn(3000, 64, generator=generator), torch.randn(40, 64, generator=generator)
    keys[1500:] = keys[:1500]  # every nearest key is there twice
    scales = torch.rand(1500, generator=generator).repeat(2) + 0.5 if scaled else None
    assert len(keys) * 64 <= search.DIRECT_NUMBERS < 40 * len(keys) * 64
    d, index = nearest(queries, keys, 1, scales)
    expected, order = by_numpy(queries, keys, 1, scales)
    assert np.array_equal(index.numpy(), order) and int(index.max()) < 1500
    np.testing.assert_allclose(d.numpy(), expected, rtol=1e-5)
    for row in range(40):
        one, where = nearest(queries[row : row + 1], keys, 1, scales)
        assert torch.equal(one, d[row : row + 1]) and torch.equal(where, index[row : row + 1])


def test_kept_keys_are_never_those_of_an_earlier_state():
    generator = torch.Generator().manual_seed(5)
    queries, widened = torch.randn(9, 20, generator=generator), search.Widened()
    keys = torch.randn(500, 20, generator=generator)
    for _ in range(3):
        fresh = nearest(queries, keys, 3)
        for left, right in zip(fresh, nearest(queries, keys, 3, widened=widened), strict=True):
            assert torch.equal(left, right)
        keys = torch.cat([keys[1:], torch.randn(1, 20, generator=generator)])


@pytest.mark.parametrize("scaled", [False, True])
def test_one_query_alone_is_the_same_as_among_many(scaled):
    """Keys that are there thrice come in the order of their index; keys are kept from one query to the next."""
    generator = torch.Generator().manual_seed(6)
    keys, queries = torch.randn(1500, 48, generator=generator).half(), torch.randn(30, 48, generator=generator)
    keys[500:1000] = keys[1000:] = keys[:500]
    scales = torch.rand(500, generator=generator).repeat(3) + 0.5 if scaled else None
    together = nearest(queries, keys, 5, scales)
    expected = by_numpy(queries, keys.float(), 5, scales)[1]
    widened = search.Widened()
    for row in range(30):
        alone = nearest(queries[row : row + 1], keys, 5, scales, widened)
        assert all(torch.equal(one[0], many[row]) for one, many in zip(alone, together, strict=True))
        assert np.array_equal(alone[1][0].numpy(), expected[row])


def test_one_query_falls_back_to_all_keys_where_the_preselection_cannot_decide(monkeypatch):
    """More equal keys than candidates: which come first is decided by their index, among all of them."""
    looked = []
    whole = search._all_distances
    monkeypatch.setattr(search, "_all_distances", lambda *args: looked.append(args) or whole(*args))
    keys = torch.zeros(400, 8).half()
    keys[:100] = 1
    _, index = nearest(torch.zeros(1, 8), keys, 5, widened=search.Widened())
    assert index.tolist() == [[100, 101, 102, 103, 104]] and len(looked) == 1
    far = torch.arange(400.0)[:, None].expand(400, 8).half()
    assert nearest(torch.zeros(1, 8), far, 5, widened=search.Widened())[1].tolist() == [[0, 1, 2, 3, 4]]
    assert len(looked) == 1


@pytest.mark.parametrize("precision", ["highest", "high"])
@pytest.mark.parametrize("scaled", [False, True])
def test_near_ties_are_decided_by_exact_distances_whatever_the_product_says(precision, scaled):
    """Keys so close to each other, and so far from 0, that a product alone would order them by chance."""
    generator = torch.Generator().manual_seed(6)
    keys = (100 + torch.randint(-8, 9, (900, 64), generator=generator) / 16).half()
    queries = keys[::30].float() + torch.randn(30, 64, generator=generator) * 1e-4
    scales = torch.ones(900) if scaled else None
    torch.set_float32_matmul_precision(precision)
    try:
        d, index = nearest(queries, keys, 5, scales)
    finally:
        torch.set_float32_matmul_precision("highest")
    every = distances(queries, keys)
    values, order = every.sort(dim=1, stable=True)
    assert torch.equal(d, values[:, :5]) and torch.equal(index, order[:, :5])


def test_products_are_never_of_fewer_bits_than_they_claim():
    assert search.product_dtype(torch.device("cpu")) == torch.float32
    assert search.product_dtype(torch.device("cuda")) == torch.float64  # TF32 may be on
    torch.set_float32_matmul_precision("medium")
    try:
        assert search.product_dtype(torch.device("cpu")) == torch.float64
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("scaled", [False, True])
def test_estimates_never_lie_above_the_distance(scaled):
    generator = torch.Generator().manual_seed(7)
    keys = (torch.randn(400, 300, generator=generator) + 3).half()
    queries = torch.randn(50, 300, generator=generator) * 2
    scales = torch.rand(400, generator=generator) + 0.5 if scaled else None
    estimates = search._Estimates.of(queries, keys, scales, search.Widened())
    true = torch.cdist(queries.double(), keys.double(), compute_mode="donot_use_mm_for_euclid_dist")
    true = true if scales is None else true / scales
    for column in range(400):
        low = estimates.bound(estimates.values[:, column])
        assert bool((low <= true[:, column]).all())
        assert bool((low >= true[:, column] * (1 - 1e-3)).all())  # and not so far below that they say nothing


def test_kept_keys_are_converted_only_where_they_are_new():
    generator = torch.Generator().manual_seed(8)
    room, queries = torch.randn(600, 20, generator=generator).half(), torch.randn(9, 20, generator=generator)
    widened = search.Widened()
    for count in (200, 201, 350, 600, 599):  # the same memory, more of it, then less
        fresh = nearest(queries, room[:count], 3)
        for left, right in zip(fresh, nearest(queries, room[:count], 3, widened=widened), strict=True):
            assert torch.equal(left, right)
    before = widened(room[:500])[1]
    grown = widened(room[:510])[1]
    assert torch.equal(before, grown[:500]) and len(grown) == 510
