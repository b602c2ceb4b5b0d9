"""The endless stream of training batches; batch ``i`` depends on the seed and on ``i`` alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import torch
from PIL import Image
from torch import Tensor, distributed
from torch.utils.data import IterableDataset

from rv_edit.pocket.scene import GRID
from rv_edit.pocket.training.families import Family
from rv_edit.pocket.training.lessons import Lesson, View, lesson, random_query, random_view
from rv_edit.pocket.training.oracle import SIDE, patch_labels
from rv_edit.pocket.training.packing import Packed, collate, flatten


@dataclass
class Batch:
    """Packed lessons; pixels as the family takes them, labels (patches of all pictures, 6), patches a picture.

    ``instructions`` holds a question on each picture, ``square`` the pixels as the elder takes them.
    """

    packed: list[Packed]
    pixels: dict[str, Tensor]
    labels: Tensor
    sizes: list[int]
    instructions: list[list[int]]
    square: Tensor | None = None


def picture_of(view: View) -> Image.Image:
    """Render a view: the scene, cropped to the view's cells."""
    from rv_edit.pocket.render import render

    picture = render(view.scene)
    cell = picture.width // GRID
    box = (view.col * cell, view.row * cell, (view.col + view.cols) * cell, (view.row + view.rows) * cell)
    return picture if (view.rows, view.cols) == (GRID, GRID) else picture.crop(box)


def curriculum(step: int, ramp: int) -> tuple[int, float]:
    """How many groups with statements a lesson has, and the chance that it is easy.

    For a quarter of the ramp nothing is told: a reader that cannot yet find what a question speaks of learns nothing
    from statements about it, and their noise kept it from learning to. Then lessons grow hard.

    >>> curriculum(0, 1000), curriculum(250, 1000), curriculum(2000, 1000), curriculum(0, 0)
    ((0, 1.0), (3, 1.0), (3, 0.1), (3, 0.1))
    """
    if step < ramp / 4:
        return 0, 1.0
    return 3, max(0.1, 1 - (step - ramp / 4) / (ramp * 3 / 4)) if ramp else 0.1


class Lessons(IterableDataset[Batch]):
    """Batches from step ``start`` on (so that a resumed run sees what it would have seen).

    Args:
        family: of the model in training.
        batch: lessons a batch.
        seed: of the stream.
        start: first batch.
        words: whether to pack questions; without, only pictures and labels.
        ramp: steps over which the share of easy lessons falls from all to a tenth; 0: a tenth from the start.
        look: whether pictures are rendered.
        elder: whose pixels are wanted too.
    """

    def __init__(
        self,
        family: Family,
        batch: int,
        seed: int,
        start: int = 0,
        words: bool = True,
        ramp: int = 0,
        look: bool = True,
        elder: Family | None = None,
    ) -> None:
        self.family, self.batch, self.seed = family, batch, seed
        self.start, self.words, self.ramp, self.look, self.elder = start, words, ramp, look, elder

    def __iter__(self) -> Iterator[Batch]:
        info = torch.utils.data.get_worker_info()
        step, stride = self.start + (info.id if info else 0), (info.num_workers if info else 1)
        first = self.batch * (distributed.get_rank() if distributed.is_initialized() else 0)
        while True:
            rngs = [Random(f"{self.seed}/{step}/{first + row}") for row in range(self.batch)]
            told, easy = curriculum(step, self.ramp)
            yield self._batch([lesson(r, told, easy) if self.words else Lesson(random_view(r), []) for r in rngs], rngs)
            step += stride

    def _batch(self, lessons: list[Lesson], rngs: list[Random]) -> Batch:
        layout, spell = self.family.layout, self.family.spell
        pictures = [picture_of(one.view) for one in lessons] if self.look else []
        pixels = self.family.pixels(pictures) if self.look else {}
        grids = self.family.grids(pixels) if self.look else [(SIDE, SIDE)] * len(lessons)
        labels = torch.cat([patch_labels(one.view, grid) for one, grid in zip(lessons, grids, strict=True)])
        packed: list[Packed] = []
        if self.words:
            pairs = [(group, owner) for owner, one in enumerate(lessons) for group in one.groups]
            rows = [(flatten(group, spell, layout, grids[owner]), owner) for group, owner in pairs]
            rows.sort(key=lambda row: len(row[0].ids))
            pad, middle = self.family.tokenizer.pad_token_id, len(rows) // 2
            halves = rows[:middle], rows[middle:]  # short ones are not padded to the longest
            packed = [
                collate([one for one, _ in half], [at for _, at in half], pad, layout.axes) for half in halves if half
            ]
        instructions = []
        if layout.instructs:
            queries = [random_query(one.view.scene, rng).render(rng) for one, rng in zip(lessons, rngs, strict=True)]
            instructions = [[layout.bos, *layout.after[1:], *spell(text), *layout.tail] for text in queries]
        square = self.elder.pixels(pictures)["pixel_values"] if self.elder else None
        return Batch(packed, pixels, labels, [rows * cols for rows, cols in grids], instructions, square)
