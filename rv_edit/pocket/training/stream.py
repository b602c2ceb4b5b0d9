"""The endless stream of training batches; batch ``i`` depends on the seed and on ``i`` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import torch
from PIL import Image
from torch import Tensor, distributed
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerFast

from rv_edit.pocket.scene import GRID
from rv_edit.pocket.tokenizer import image_id
from rv_edit.pocket.training.lessons import Lesson, View, lesson, random_view
from rv_edit.pocket.training.oracle import patch_labels
from rv_edit.pocket.training.packing import Packed, Speller, collate, flatten

Batch = tuple[list[Packed], Tensor | None, Tensor]


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
        tokenizer: of the model in training.
        pixels_of: pictures to ``(B, 3, 72, 72)``; ``None`` leaves pictures unrendered.
        batch: lessons a batch.
        seed: of the stream.
        start: first batch.
        words: whether to pack questions; without, only pictures and labels.
        ramp: steps over which the share of easy lessons falls from all to a tenth; 0: a tenth from the start.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        pixels_of: Callable[[list[Image.Image]], Tensor] | None,
        batch: int,
        seed: int,
        start: int = 0,
        words: bool = True,
        ramp: int = 0,
    ) -> None:
        self.tokenizer, self.pixels_of, self.batch, self.seed = tokenizer, pixels_of, batch, seed
        self.start, self.words, self.ramp = start, words, ramp

    def __iter__(self) -> Iterator[Batch]:
        spell = Speller(self.tokenizer)
        picture_id = image_id(self.tokenizer)
        info = torch.utils.data.get_worker_info()
        step, stride = self.start + (info.id if info else 0), (info.num_workers if info else 1)
        first = self.batch * (distributed.get_rank() if distributed.is_initialized() else 0)
        while True:
            rngs = [Random(f"{self.seed}/{step}/{first + row}") for row in range(self.batch)]
            told, easy = curriculum(step, self.ramp)
            lessons = [lesson(rng, told, easy) if self.words else Lesson(random_view(rng), []) for rng in rngs]
            labels = torch.stack([patch_labels(one.view) for one in lessons])
            pixels = self.pixels_of([picture_of(one.view) for one in lessons]) if self.pixels_of else None
            packed: list[Packed] = []
            if self.words:
                ids = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
                pairs = [(group, owner) for owner, one in enumerate(lessons) for group in one.groups]
                rows = [(flatten(group, spell, labels.shape[1], picture_id, *ids), owner) for group, owner in pairs]
                rows.sort(key=lambda row: len(row[0].ids))
                pad, middle = self.tokenizer.pad_token_id, len(rows) // 2
                halves = rows[:middle], rows[middle:]  # short ones are not padded to the longest
                packed = [collate([one for one, _ in half], [at for _, at in half], pad) for half in halves if half]
            yield packed, pixels, labels
            step += stride
