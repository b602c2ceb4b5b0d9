"""Orders in which loaders visit edits and questions: sequential and resumable, grouped by picture, sharded unpadded.

Lightning's own distributed sampler shuffles an edit stream and pads evaluation shards with duplicates, both
without a word; these replace it, under ``Trainer(use_distributed_sampler=False)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from torch.utils.data import Sampler

from data_modules.records import Edit, Question

Key = TypeVar("Key")


class StreamSampler(Sampler[int]):
    """Positions ``0 … length-1`` in order; the first pass begins at ``start``, later ones at 0.

    Its length stays the full one when it starts midway: Lightning goes on counting batches where the
    interrupted run stopped.
    """

    def __init__(self, length: int, start: int = 0) -> None:
        self.length = length
        self.start = start

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        # Taken when the first position is, not when the iterator is made: an unused iterator uses nothing up.
        start, self.start = self.start, 0
        yield from range(start, self.length)


def shard_by_group(keys: Sequence[Key], world: int) -> list[list[int]]:
    """Divide positions among ``world`` ranks, those with equal keys to the same one, none twice, none left out.

    Groups go, in order of first appearance, to the rank with the fewest positions so far.

    >>> shard_by_group(["a", "b", "a", "c", "d"], 2)
    [[0, 2, 4], [1, 3]]
    """
    groups: dict[Key, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    shards: list[list[int]] = [[] for _ in range(world)]
    for members in groups.values():
        min(shards, key=len).extend(members)
    return shards


def batch_by_group(positions: Sequence[int], keys: Sequence[Key], batch_size: int) -> list[list[int]]:
    """Batches of at most ``batch_size`` positions in which equal keys stay together.

    Only a group that is larger than a batch by itself is divided.

    >>> batch_by_group([0, 1, 2, 3, 4], ["a", "b", "a", "c", "c"], 3)
    [[0, 2, 1], [3, 4]]
    """
    groups: dict[Key, list[int]] = {}
    for position in positions:
        groups.setdefault(keys[position], []).append(position)
    batches: list[list[int]] = []
    for members in groups.values():
        for start in range(0, len(members), batch_size):
            part = members[start : start + batch_size]
            if batches and len(batches[-1]) + len(part) <= batch_size:
                batches[-1] += part
            else:
                batches.append(list(part))
    return batches


class ImageBatches(Sampler[list[int]]):
    """Batches of question positions of one rank: questions on one picture together, shards unpadded.

    Every rank yields equally many batches, the last ones perhaps **empty**: a rank that ran out of questions,
    or never had any, still takes part in whatever the others do together after each batch and at the end.

    Args:
        questions: all questions, the same on every rank.
        batch_size: most questions a batch.
        rank: this process.
        world: number of processes.
        select: positions to ask, called anew for each pass; ``None``: all. It must give every rank the same.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        select: Callable[[], Sequence[int]] | None = None,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world:
            raise ValueError(f"batch_size {batch_size} must be positive and rank {rank} below world {world}")
        self.batch_size = batch_size
        self.rank, self.world = rank, world
        self.select = select
        self._keys = [question.image.sha for question in questions]

    def plan(self) -> list[list[int]]:
        """This rank's batches for the next pass."""
        chosen = list(range(len(self._keys))) if self.select is None else list(self.select())
        shards = shard_by_group([self._keys[position] for position in chosen], self.world)
        plans = [batch_by_group([chosen[at] for at in shard], self._keys, self.batch_size) for shard in shards]
        mine = plans[self.rank]
        return mine + [[] for _ in range(max(map(len, plans)) - len(mine))]

    def __len__(self) -> int:
        """Batches of a pass; where the selection changes from pass to pass, a bound that none exceeds."""
        if self.select is None:
            return len(self.plan())
        # Two neighbouring batches together overflow one, else they would have been packed together.
        return 2 * (len(self._keys) // self.batch_size + 1)

    def __iter__(self) -> Iterator[list[int]]:
        yield from self.plan()


def draw_probe(edits: Sequence[Edit], done: int, size: int, seed: int) -> list[str]:
    """Ids of ``size`` random edits among the first ``done`` (paper 4.4), in stream order; all where there are fewer.

    The draw depends on ``seed`` and ``done`` alone, so every rank and every repetition draws the same.
    """
    done = min(done, len(edits))
    chosen = np.random.default_rng([seed, done]).permutation(done)[:size]
    return [edits[index].id for index in sorted(chosen)]
