"""Nearest keys: the codebook's search against faiss, which computes every distance or keeps an index."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.speed_parts.common import MS, Options, Part, Row, alternately, machine
from rv_edit.codebook.search import Widened, nearest

DIM, K = 1792, 5
SIZES = (1_000, 10_000, 100_000)


def measure(options: Options) -> Part:
    """``IndexFlatL2`` at three sizes, 64 queries at a time and one; the index kept for more keys."""
    import faiss

    faiss.omp_set_num_threads(options.threads)
    rows = [row for size in SIZES for row in flat(options.of(size, 300), options)]
    notes = [f"faiss {faiss.__version__} with OpenBLAS; keys of {DIM} numbers, {K} nearest."]
    return Part(rows, notes, machine(options))


def flat(count: int, options: Options) -> list[Row]:
    """Rows at one number of keys: both hold fp32 copies of the keys, made beforehand."""
    import faiss

    generator = torch.Generator().manual_seed(count)
    keys = torch.randn(count, DIM, generator=generator).half()
    index, widened = faiss.IndexFlatL2(DIM), Widened()
    index.add(keys.float().numpy())
    rows = []
    for size in (64, 1):
        # As many calls a round as take some milliseconds, so that the clock's steps do not show.
        calls = max(1, 20_000 // (count * (1 if size == 1 else 10)))
        queries = [torch.randn(size, DIM, generator=generator) for _ in range(calls)]
        ours, other, results = alternately(
            lambda _, q=queries: [nearest(one, keys, K, None, widened) for one in q],  # type: ignore[misc]
            lambda _, q=queries: [index.search(one.numpy(), K) for one in q],  # type: ignore[misc]
            options.rounds,
            options.clock,
        )
        for (d, at), (squares, there) in zip(results[0][0], results[0][1], strict=True):
            # Its squares are of fp32 products: of two keys equally near but for their error either comes first.
            assert np.allclose(d.numpy() ** 2, squares, rtol=1e-5), "faiss finds other distances"
            swapped = at.numpy() != there
            assert swapped.mean() < 0.05, "faiss finds other keys"
        rows.append(
            Row.timed(
                f"{count:,} keys, {size} quer{'y' if size == 1 else 'ies'} at a time",
                ours,
                other,
                "faiss `IndexFlatL2`",
                1.0,
                per=calls * size * MS,
                agrees="same keys, but for ties in fp32",
                unit="ms a query",
            )
        )
    return rows
