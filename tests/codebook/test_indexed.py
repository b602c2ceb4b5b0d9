"""A codebook that searches with faiss finds what the exact one finds, and says so where faiss is missing."""

import numpy as np
import pytest
import torch

from rv_edit.codebook import Codebook, settings
from rv_edit.codebook.indexed import FaissIndex
from rv_edit.codebook.search import nearest
from rv_edit.errors import ConfigError

pytest.importorskip("faiss")


def clustered(count, dim=24, clusters=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(clusters, dim, generator=generator)
    rows = torch.randint(clusters, (count,), generator=generator)
    return (centres[rows] + 0.1 * torch.randn(count, dim, generator=generator)).half()


def test_all_cells_probed_find_what_the_exact_search_finds_bit_for_bit():
    keys, queries = clustered(2000), clustered(70, seed=1).float()
    for left, right in zip(FaissIndex(10_000).nearest(queries, keys, 5), nearest(queries, keys, 5), strict=True):
        assert torch.equal(left, right)


def test_few_cells_find_nearly_all():
    keys, queries = clustered(4000), clustered(200, seed=0).float() + 0.01
    _, found = FaissIndex(8).nearest(queries, keys, 5)
    _, exact = nearest(queries, keys, 5)
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found.numpy(), exact.numpy(), strict=True)]
    assert np.mean(hits) / 5 > 0.99


def test_keys_that_came_moved_or_went_are_found_where_they_are(monkeypatch):
    index, keys, queries = FaissIndex(10_000), clustered(1000), clustered(30, seed=2).float()
    index.nearest(queries, keys, 4)
    built = []
    monkeypatch.setattr(
        FaissIndex, "_build", lambda self, rows, make=FaissIndex._build: built.append(1) or make(self, rows)
    )
    keys = torch.cat([keys, clustered(20, seed=3)])
    keys[5], keys[6] = queries[0].half(), keys[500]
    for left, right in zip(index.nearest(queries, keys, 4), nearest(queries, keys, 4), strict=True):
        assert torch.equal(left, right)
    assert not built  # 22 of 1020 are compared by themselves
    keys = keys[7:]
    for left, right in zip(index.nearest(queries, keys, 4), nearest(queries, keys, 4), strict=True):
        assert torch.equal(left, right)
    assert built


def test_cells_with_fewer_keys_than_asked_for_fall_back_to_all():
    keys = torch.cat([torch.full((3, 2), 50.0), torch.zeros(200, 2) + torch.arange(200)[:, None] / 100]).half()
    queries = torch.full((2, 2), 50.0)
    for left, right in zip(FaissIndex(1).nearest(queries, keys, 30), nearest(queries, keys, 30), strict=True):
        assert torch.equal(left, right)


def test_a_codebook_uses_it_beyond_a_number_of_keys(monkeypatch):
    keys, queries = clustered(300, 8), clustered(20, 8, seed=4).float()
    exact = Codebook(8, merge="off", gate="none")
    quick = Codebook(8, merge="off", gate="none", engine="faiss", index_from=200, probes=1000)
    asked = []
    look = FaissIndex.nearest
    monkeypatch.setattr(FaissIndex, "nearest", lambda self, *given: asked.append(len(given[1])) or look(self, *given))
    for start in range(0, 300, 50):
        part = keys[start : start + 50]
        for book in (exact, quick):
            book.insert(
                f"e{start}", part, [f"Fact {start + row}." for row in range(50)], [0.1] * 50, ["reasoning"] * 50
            )
        assert quick.retrieve(queries) == exact.retrieve(queries)
    assert asked == [250, 300]
    quick.undo("e0")
    exact.undo("e0")
    assert quick.retrieve(queries) == exact.retrieve(queries) and quick.checksum() == exact.checksum()


def test_no_queries_give_no_rows():
    assert FaissIndex(1).nearest(torch.zeros(0, 24), clustered(100), 5)[0].shape == (0, 5)


def test_missing_faiss_is_one_line(monkeypatch):
    monkeypatch.setattr(settings, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"engine=faiss needs faiss; pip install .*engine=exact"):
        Codebook(4, engine="faiss")
    Codebook(4, engine="exact")
