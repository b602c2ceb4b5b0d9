"""A picture as a perfect eye would encode it: the teacher of the vision tower.

Every patch gets the sum of learned embeddings of what it shows: kind, colour, texture and size of its
thing (or nothing), the place, the light and the patch's own position. The language model learns to read
such pictures first; then the vision tower and the projector learn to produce them from pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from rv_edit.pocket.scene import COLOURS, KINDS, LIGHTS, PLACES, SIZES, TEXTURES
from rv_edit.pocket.training.lessons import View

HIDDEN_KIND = len(KINDS)
NOTHING_KIND = len(KINDS) + 1
LABELS = ("kind", "colour", "texture", "size", "place", "light")
CLASSES = (len(KINDS) + 2, len(COLOURS) + 1, len(TEXTURES) + 1, len(SIZES) + 1, len(PLACES), len(LIGHTS))
NAMES = (KINDS, COLOURS, TEXTURES, SIZES, PLACES, LIGHTS)
"""The word of each class; further classes (hidden, nothing) have none."""
STD = 0.15
SIDE = 6
"""Patches a side: divisible by 1, 2 and 3, so that the cells of every crop align with patches."""


def patch_labels(view: View, grid: tuple[int, int] = (SIDE, SIDE)) -> Tensor:
    """What each patch of a view shows.

    Returns:
        ``(rows x cols, 6)`` class indices in the order of ``LABELS``, patches row by row.
    """
    scene = view.scene
    place, light = PLACES.index(scene.place), LIGHTS.index(scene.light)
    empty = [NOTHING_KIND, len(COLOURS), len(TEXTURES), len(SIZES), place, light]
    cells = {}
    for thing in view.things:
        kind = HIDDEN_KIND if thing.hidden else KINDS.index(thing.kind)
        looks = [COLOURS.index(thing.colour), TEXTURES.index(thing.texture), SIZES.index(thing.size)]
        cells[thing.row - view.row, thing.col - view.col] = [kind, *looks, place, light]
    return torch.tensor(
        [
            cells.get((i * view.rows // grid[0], j * view.cols // grid[1]), empty)
            for i in range(grid[0])
            for j in range(grid[1])
        ]
    )


class Oracle(nn.Module):
    """Labels ``(B, 36, 6)`` to picture tokens ``(B, 36, dim)``, out of the words' own embeddings.

    A red mug is encoded as "mug" + "red" + …: a word and what it looks like start out alike, which is what makes the
    decoder learn to find things by their description within minutes. With embeddings of the oracle's own, it still
    guessed among the things of a scene after 1,600 steps of 8 lessons.
    """

    def __init__(self, dim: int, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        extra = [n - len(words) for n, words in zip(CLASSES, NAMES, strict=True)]
        self.others = nn.ParameterList(nn.Parameter(torch.randn(n, dim) * STD) for n in extra)
        self.position = nn.Parameter(torch.randn(SIDE * SIDE, dim) * STD)
        self.ids = [tokenizer.convert_tokens_to_ids([f"▁{word}" for word in words]) for words in NAMES]

    def forward(self, labels: Tensor, words: Tensor) -> Tensor:
        """Sum of the embeddings ``words`` (vocabulary, dim) of a patch's labels, and of its position."""
        parts = [
            torch.cat([words[ids], other])[labels[..., i]]
            for i, (ids, other) in enumerate(zip(self.ids, self.others, strict=True))
        ]
        return torch.stack(parts).sum(0) + self.position
