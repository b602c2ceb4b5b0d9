"""A million keys: the codebook with a faiss index against the codebook that computes every distance."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed_parts.common import MS, Options, Part, Row, alternately, machine
from rv_edit.codebook.indexed import FaissIndex
from rv_edit.codebook.search import Widened, nearest

COUNT, DIM, CLUSTERS, PROBES, K, ASKED = 1_000_000, 256, 2000, 16, 5, 64
FASTER, RECALL = 10.0, 0.99


def measure(options: Options) -> Part:
    """Clustered keys, queries near some of them, new in every round."""
    import faiss

    faiss.omp_set_num_threads(options.threads)
    count = options.of(COUNT, 2000)
    keys, index, widened = clustered(count, 0), FaissIndex(PROBES), Widened()
    started = time.process_time()
    index.nearest(keys[:1].float(), keys, K)
    built = time.process_time() - started
    ours, other, results = alternately(
        lambda turn: index.nearest(asked(keys, turn), keys, K),
        lambda turn: nearest(asked(keys, turn), keys, K, None, widened),
        options.rounds,
        options.clock,
    )
    pairs = [(a, b) for (_, found), (_, exact) in results for a, b in zip(found.numpy(), exact.numpy(), strict=True)]
    recall = float(np.mean([len(np.intersect1d(a, b)) / K for a, b in pairs]))
    for (near, _), (exact, _) in results:
        assert bool((near >= exact).all()), "the index found something nearer than the nearest"
    what = f"{count:,} keys of {DIM} numbers in {CLUSTERS:,} clusters"
    rows = [
        Row.timed(
            f"{what}, {ASKED} queries at a time",
            ours,
            other,
            "the exact search",
            FASTER,
            per=ASKED * MS,
            unit="ms a query",
        ),
        Row(f"{what}: recall of the {K} nearest", recall, 1.0, "the exact search", recall, RECALL, unit="of 1"),
    ]
    notes = [f"{PROBES} of {round(count**0.5):,} cells are looked at. Making the index takes {built:.1f} s, once."]
    return Part(rows, notes, machine(options))


def clustered(count: int, seed: int) -> Tensor:
    """(count, DIM) fp16 around centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLUSTERS, DIM, generator=generator)
    keys = torch.empty(count, DIM, dtype=torch.float16)
    for start in range(0, count, 50_000):
        rows = torch.randint(CLUSTERS, (min(50_000, count - start),), generator=generator)
        keys[start : start + len(rows)] = centres[rows] + 0.3 * torch.randn(len(rows), DIM, generator=generator)
    return keys


def asked(keys: Tensor, turn: int) -> Tensor:
    """Queries of a round, near keys but none of them."""
    generator = torch.Generator().manual_seed(100 + turn)
    rows = torch.randint(len(keys), (ASKED,), generator=generator)
    return keys[rows].float() + 0.1 * torch.randn(ASKED, DIM, generator=generator)
