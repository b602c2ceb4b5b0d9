"""Mosaic augmentation: a picture among tiles of other pictures and noise, turned and tinted a little (paper A.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data_modules.records import ImageRef
from rv_edit.augment.jitter import Jitter, colour_jitter
from rv_edit.augment.tiles import TilePool, noise
from rv_edit.errors import ConfigError


class ImageAugmenter:
    """Draws variants of a picture that keep most of its meaning.

    The picture, unscaled, is put at a random place of a canvas of which it covers ``area``; around it lies a grid of
    tiles. The canvas is turned about its centre and brought back to the picture's own size in a single resampling,
    then tinted. The result has the size of the input, so that a model whose number of image tokens depends on the
    size sees as many, and distances between keys and variants measure content, not resolution. The tiles reach
    beyond the canvas, so the corners that turning lays bare are tiles too, not black.

    Args:
        area: share of the canvas that the picture covers, in (0, 1].
        tiles: tiles along each side of the canvas.
        noise_share: share of the tiles that are noise instead of parts of pictures.
        rotation: greatest angle, in degrees, to either side.
        jitter: greatest change of brightness, contrast, saturation and hue.
        tile_pool: pictures to cut tiles from: a folder, pictures, or a :class:`TilePool`; without any, all tiles are
            noise.
        max_side: longer pictures are shrunk to it first (and the result has that size): no VLM here looks at more.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(
        self,
        area: float = 0.9,
        tiles: int = 4,
        noise_share: float = 0.2,
        rotation: float = 10.0,
        jitter: Sequence[float] = (0.1, 0.1, 0.1, 0.05),
        tile_pool: TilePool | str | Path | Sequence[ImageRef | Image.Image] | None = None,
        max_side: int = 1024,
    ) -> None:
        if not 0.0 < area <= 1.0:
            raise ConfigError(f"augmentation: area={area}; give a share above 0, at most 1")
        if tiles < 1 or max_side < 1:
            raise ConfigError(f"augmentation: tiles={tiles}, max_side={max_side}; give at least 1 each")
        if not 0.0 <= noise_share <= 1.0:
            raise ConfigError(f"augmentation: noise_share={noise_share}; give a share from 0 to 1")
        if not 0.0 <= rotation <= 180.0:
            raise ConfigError(f"augmentation: rotation={rotation}; give degrees from 0 to 180")
        if len(jitter) != 4 or min(jitter) < 0.0 or jitter[3] > 0.5:
            raise ConfigError(f"augmentation: jitter={tuple(jitter)}; give four values from 0, the last at most 0.5")
        self._area = area
        self._tiles = tiles
        self._noise_share = noise_share
        self._rotation = rotation
        self._jitter: Jitter = (jitter[0], jitter[1], jitter[2], jitter[3])
        self._pool = tile_pool if isinstance(tile_pool, TilePool) else TilePool(tile_pool)
        self._max_side = max_side

    def __call__(self, image: Image.Image, seed: int) -> Image.Image:
        """A variant of ``image``, RGB and of its size; the same for the same picture, seed and tile pool.

        Args:
            image: any mode and size, also 1×1.
            seed: 0 or higher, from :func:`~rv_edit.augment.seeding.item_seed`, so that order plays no part.

        Raises:
            RecordError: a picture of the tile pool cannot be decoded.
        """
        generator = np.random.default_rng(seed)
        picture = image.convert("RGB")
        if max(picture.size) > self._max_side:
            scale = self._max_side / max(picture.size)
            picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BOX)
        size = picture.size
        canvas = (size[0] / math.sqrt(self._area), size[1] / math.sqrt(self._area))
        angle = math.radians(float(generator.uniform(-self._rotation, self._rotation)))
        free = [float(generator.uniform(0.0, canvas[axis] - size[axis])) for axis in (0, 1)]
        # the turned canvas fits into this rectangle, which has the same centre
        spread = _bounds(canvas, angle)
        sheet = Image.new("RGB", (math.ceil(spread[0]), math.ceil(spread[1])))
        margin = [(sheet.size[axis] - canvas[axis]) / 2 for axis in (0, 1)]
        place = (round(margin[0] + free[0]), round(margin[1] + free[1]))
        self._lay_tiles(sheet, canvas, (*place, place[0] + size[0], place[1] + size[1]), generator)
        sheet.paste(picture, place)
        turned = _turn(sheet, size, canvas, angle)
        return colour_jitter(turned, self._jitter, generator)

    def _lay_tiles(
        self,
        sheet: Image.Image,
        canvas: tuple[float, float],
        covered: tuple[int, int, int, int],
        generator: np.random.Generator,
    ) -> None:
        """Fill ``sheet`` with tiles of a canvas-th each; those that ``covered`` hides are left out."""
        # capped: a strip of 1×1000 would need thousands for the margin that turning asks for
        counts = [
            min(math.ceil(self._tiles * sheet.size[axis] / canvas[axis]), 2 * self._tiles, sheet.size[axis])
            for axis in (0, 1)
        ]
        edges = [np.linspace(0, sheet.size[axis], counts[axis] + 1).round().astype(int).tolist() for axis in (0, 1)]
        for left, right in zip(edges[0], edges[0][1:], strict=False):
            for top, bottom in zip(edges[1], edges[1][1:], strict=False):
                # drawn for hidden tiles as well, so that what is hidden does not change the rest
                tile_seed, kind = int(generator.integers(2**63)), float(generator.uniform())
                if left >= covered[0] and top >= covered[1] and right <= covered[2] and bottom <= covered[3]:
                    continue
                own, extent = np.random.default_rng(tile_seed), (right - left, bottom - top)
                noisy = kind < self._noise_share or len(self._pool) == 0
                sheet.paste(noise(extent, own) if noisy else self._pool.tile(extent, own), (left, top))


def _bounds(size: tuple[float, float], angle: float) -> tuple[float, float]:
    """Width and height of the upright rectangle around one of ``size`` turned by ``angle``, at least ``size``."""
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    return max(size[0], size[0] * cos + size[1] * sin), max(size[1], size[0] * sin + size[1] * cos)


def _turn(sheet: Image.Image, size: tuple[int, int], canvas: tuple[float, float], angle: float) -> Image.Image:
    """The part of ``sheet`` under its centred, turned ``canvas``, scaled to ``size``."""
    step = (canvas[0] / size[0], canvas[1] / size[1])
    cos, sin = math.cos(angle), math.sin(angle)
    centre = (sheet.width / 2, sheet.height / 2)
    # output (x, y) -> sheet: scale about the output's centre, turn, move to the sheet's centre
    a, b = cos * step[0], -sin * step[1]
    d, e = sin * step[0], cos * step[1]
    c = centre[0] - a * size[0] / 2 - b * size[1] / 2
    f = centre[1] - d * size[0] / 2 - e * size[1] / 2
    return sheet.transform(size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
