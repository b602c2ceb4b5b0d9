"""The radius of a key: how far its meaning-preserving variants lie from it (paper C, Merging Keys)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from rv_edit.augment.mosaic import ImageAugmenter
from rv_edit.augment.seeding import item_seed
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.embedding import DualEmbedding

Paraphraser = Callable[[str, int], str]
"""A text and a seed -> another wording of it; the same for the same two."""


@dataclass(frozen=True)
class KeyRadii:
    """Keys with their radii.

    Attributes:
        keys: (n, dim) fp32 on the CPU.
        radii: (n,) fp32, the median of each row of ``distances``; the mean of the middle two for an even number.
        distances: (n, variants) fp32 from each key to its variants.
    """

    keys: Tensor
    radii: Tensor
    distances: Tensor


class RadiusEstimator:
    """Keys and radii of one edit, in one vision pass over all its pictures and all their variants.

    Several keys on one picture object share its variants, so a picture is augmented and encoded once however many
    facts it shows. Text is rewritten only where a ``paraphraser`` is given: a language model's call per key is dear.

    Args:
        dual: the space of the keys.
        augmenter: draws the picture variants.
        variants: number of variants a key. With one, radii are so noisy that overlap hardly ever fires.
        paraphraser: rewrites a key's text for each variant; ``None``: the text stays.
        seed: of the run; mixed into every item's own seed.
        image_batch_size: pictures and variants encoded together.

    Raises:
        ConfigError: fewer than one variant.
    """

    def __init__(
        self,
        dual: DualEmbedding,
        augmenter: ImageAugmenter,
        variants: int = 4,
        paraphraser: Paraphraser | None = None,
        seed: int = 0,
        image_batch_size: int = 64,
    ) -> None:
        if variants < 1 or image_batch_size < 1:
            raise ConfigError(f"radii: variants={variants}, image_batch_size={image_batch_size}; give at least 1 each")
        self.dual = dual
        self.augmenter = augmenter
        self.variants = variants
        self.paraphraser = paraphraser
        self.seed = seed
        self.image_batch_size = image_batch_size

    def __call__(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[str],
        items: Sequence[str],
        pooled: Tensor | None = None,
    ) -> KeyRadii:
        """Keys and radii of picture–text pairs.

        Args:
            images: n RGB pictures; keys on one picture give the same object.
            texts: n texts.
            items: n names that the variants' seeds are made of, e.g. edit id and crop. A picture's variants are named
                by the first key on it.
            pooled: (n, dv) what ``dual.hidden`` gives for these pairs where it is known already; the pass is then over
                the variants alone.

        Returns:
            n keys, radii and distances.
        """
        count = len(images)
        if not count == len(texts) == len(items):
            raise ValueError(f"{count} pictures, {len(texts)} texts, {len(items)} items; give one of each a key")
        if pooled is not None and pooled.shape[0] != count:
            raise ValueError(f"{tuple(pooled.shape)} pooled features for {count} keys; give one row a key")
        if not count:
            return KeyRadii(torch.empty(0, self.dual.dim), torch.empty(0), torch.empty(0, self.variants))
        named: dict[int, str] = {}
        for image, item in zip(images, items, strict=True):
            named.setdefault(id(image), item)
        drawn = {
            id(image): [
                self.augmenter(image, item_seed(self.seed, named[id(image)], turn)) for turn in range(self.variants)
            ]
            for image in {id(image): image for image in images}.values()
        }
        around = [variant for image in images for variant in drawn[id(image)]]
        wordings = self._wordings(texts, items)
        own = count if pooled is None else 0
        features = self.dual.hidden([*images[:own], *around], [*texts[:own], *wordings], self.image_batch_size)
        keys = self.dual.combine(features[:own] if pooled is None else pooled, texts)
        variants = self.dual.combine(features[own:], wordings)
        distances = (variants.view(count, self.variants, -1) - keys[:, None]).norm(dim=2)
        return KeyRadii(keys, torch.quantile(distances, 0.5, dim=1), distances)

    def _wordings(self, texts: Sequence[str], items: Sequence[str]) -> list[str]:
        """The text of every variant, key by key."""
        if self.paraphraser is None:
            return [text for text in texts for _ in range(self.variants)]
        return [
            self.paraphraser(text, item_seed(self.seed, item, text, turn))
            for text, item in zip(texts, items, strict=True)
            for turn in range(self.variants)
        ]
