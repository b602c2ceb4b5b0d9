"""Sampled networks of picture–text pairs: which pictures and which texts their nodes are (paper A.1, A.2, A.5)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from data_modules.qa_record import QARecord
from data_modules.records import ImageRef, RecordError
from rv_edit.augment import ImageAugmenter, item_seed
from rv_edit.benchmark.cache import digest
from rv_edit.errors import ConfigError
from rv_edit.topology import Layout

Item = TypeVar("Item")

Rewording = Callable[[QARecord, int], str]
"""A record and a seed -> its question in other words; the same for the same two."""


@dataclass(frozen=True)
class Picture:
    """A picture, or with a number one of its augmented variants."""

    source: ImageRef
    variant: int | None = None

    @property
    def name(self) -> str:
        """What tells it from all others."""
        return self.source.sha if self.variant is None else f"{self.source.sha}#{self.variant}"


@dataclass(frozen=True)
class Pools:
    """What mismatches are drawn from: sentences, and pictures of other records."""

    facts: tuple[str, ...]
    pictures: tuple[ImageRef, ...]


@dataclass(frozen=True)
class Network:
    """A sampled network: the picture and the text of each node, in the order of ``layout``."""

    layout: Layout
    pictures: tuple[Picture, ...]
    texts: tuple[str, ...]

    def digest(self) -> str:
        """A hash of all nodes."""
        return digest([picture.name for picture in self.pictures], self.texts)

    def open(self, augmenter: ImageAugmenter, seed: int) -> list[Image.Image]:
        """The nodes' pictures; equal ones are one object, so that models see each once.

        Raises:
            RecordError: a picture cannot be decoded.
        """
        opened: dict[str, Image.Image] = {}
        for picture in self.pictures:
            if picture.source.sha not in opened:
                opened[picture.source.sha] = picture.source.open()
            if picture.name not in opened:
                own = item_seed(seed, "network", picture.name)
                opened[picture.name] = augmenter(opened[picture.source.sha], own)
        return [opened[picture.name] for picture in self.pictures]


def draw_batches(
    records: Sequence[QARecord], pairs: int, count: int, seed: int, option: str = "task.pairs"
) -> list[list[QARecord]]:
    """Batches of records with readable pictures, no picture or question twice within one, drawn by seed (paper A.1).

    No record is in two batches until all have been in one. The order of ``records`` plays no part.

    Raises:
        ConfigError: there are not enough different pictures and questions for a batch.
    """
    ordered = sorted(records, key=lambda record: record.id)
    waiting: deque[QARecord] = deque()
    rounds = 0
    batches: list[list[QARecord]] = []
    readable: dict[str, bool] = {}
    for _ in range(count):
        batch: list[QARecord] = []
        put_back: list[QARecord] = []
        refilled = False
        while len(batch) < pairs:
            if not waiting:
                if refilled:
                    raise ConfigError(
                        f"task: networks of {pairs} pairs, but only {len(batch)} readable records differ in picture "
                        f"and question; give fewer {option}"
                    )
                waiting.extend(random.Random(item_seed(seed, "networks", rounds)).sample(ordered, len(ordered)))
                rounds, refilled = rounds + 1, True
                continue
            record = waiting.popleft()
            sha = record.image.sha
            if any(sha == other.image.sha or record.question == other.question for other in batch):
                put_back.append(record)
                continue
            if sha not in readable:
                readable[sha] = _readable(record.image)
            if readable[sha]:
                batch.append(record)
        waiting.extendleft(reversed(put_back))
        batches.append(batch)
    return batches


def fact_sentences(records: Sequence[QARecord], path: str | None, count: int, seed: int) -> tuple[str, ...]:
    """``count`` different sentences for mismatches (paper A.2), drawn by seed.

    Args:
        records: their reasoning is the pool, and their questions where they have none.
        path: a text file with one sentence a line instead.
        count: how many are kept, at most.
        seed: of the draw.

    Raises:
        ConfigError: the file cannot be read, or there is no sentence.
    """
    if path is not None:
        try:
            lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"task.facts={path}: cannot be read ({error}); give a text file") from error
        found = {line.strip() for line in lines} - {""}
    else:
        found = {sentence for record in records for sentence in record.reasoning}
        found = found or {record.question for record in records}
    if not found:
        raise ConfigError(f"task.facts={path}: no sentence to draw mismatches from; give one a line")
    return tuple(random.Random(item_seed(seed, "facts")).sample(sorted(found), min(count, len(found))))


def build_network(
    batch: Sequence[QARecord], layout: Layout, pools: Pools, rewording: Rewording | None, seed: int
) -> Network:
    """The nodes of one network, in the order of ``layout``.

    Args:
        batch: M records.
        layout: M and how many variants.
        pools: for mismatches; what is in the batch itself is left out.
        rewording: gives the texts of variants; ``None``: they keep the anchor's text.
        seed: of the run.

    Raises:
        ConfigError: nothing is left in a pool.
    """
    shas, words = {record.image.sha for record in batch}, {record.question for record in batch}
    own = {sentence for record in batch for sentence in record.reasoning}
    pictures = [picture for picture in pools.pictures if picture.sha not in shas]
    facts = [fact for fact in pools.facts if fact not in own | words]
    if not pictures or not facts:
        what, option = ("picture", "dataset.sample") if not pictures else ("sentence", "task.facts")
        raise ConfigError(f"task: no mismatching {what} beside a network of {layout.pairs} pairs; give more {option}")

    def reworded(record: QARecord, turn: int) -> str:
        return record.question if rewording is None else rewording(record, item_seed(seed, "text", record.id, turn))

    nodes = [(Picture(left.image), right.question) for left in batch for right in batch]
    for record in batch:
        nodes += [(Picture(record.image, turn), reworded(record, turn)) for turn in range(layout.variants)]
    anchors, around = batch[: layout.anchors], layout.around
    for record in anchors:
        nodes += [(Picture(record.image, turn), record.question) for turn in range(around)]
    for record in anchors:
        nodes += [(Picture(record.image), fact) for fact in _draw(facts, around, item_seed(seed, "fact", record.id))]
    for record in anchors:
        nodes += [(Picture(record.image), reworded(record, turn)) for turn in range(around)]
    for record in anchors:
        others = _draw(pictures, around, item_seed(seed, "picture", record.id))
        nodes += [(Picture(other), record.question) for other in others]
    return Network(layout, tuple(picture for picture, _ in nodes), tuple(text for _, text in nodes))


def _draw(pool: Sequence[Item], count: int, seed: int) -> list[Item]:
    """``count`` of a pool, without replacement while it lasts."""
    generator = random.Random(seed)
    drawn: list[Item] = []
    while len(drawn) < count:
        drawn += generator.sample(list(pool), min(len(pool), count - len(drawn)))
    return drawn


def _readable(picture: ImageRef) -> bool:
    try:
        picture.open()
    except RecordError:
        return False
    return True
