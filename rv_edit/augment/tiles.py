"""Where the tiles of a mosaic come from: a folder of pictures, or pictures at hand (paper A.5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data_modules.records import ImageRef, RecordError
from rv_edit.errors import ConfigError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})


class TilePool:
    """Pictures from which tiles are cut; each is decoded at its first use and kept small.

    Args:
        pictures: a folder, searched with its subfolders, or pictures. ``None`` or an empty sequence: every tile is
            noise.
        max_side: longer pictures are shrunk to it, since a tile shows little of one.
        crop: least share of a picture's side that a tile shows; the most is all of it.

    Raises:
        ConfigError: the folder does not exist or has no picture in it.
    """

    def __init__(
        self,
        pictures: str | Path | Sequence[ImageRef | Image.Image] | None = None,
        max_side: int = 256,
        crop: float = 0.25,
    ) -> None:
        if max_side < 1 or not 0.0 < crop <= 1.0:
            raise ConfigError(f"tile pool: max_side={max_side}, crop={crop}; give at least 1, and a share above 0")
        self._pictures: list[Path | ImageRef | Image.Image]
        if isinstance(pictures, (str, Path)):
            self._pictures = [*pictures_in(Path(pictures))]
        else:
            self._pictures = list(pictures or ())
        self._max_side = max_side
        self._crop = crop
        self._ready: dict[int, Image.Image] = {}

    def __len__(self) -> int:
        return len(self._pictures)

    def tile(self, size: tuple[int, int], generator: np.random.Generator) -> Image.Image:
        """A random part of a random picture, as RGB of ``size`` = (width, height).

        Raises:
            RecordError: the picture drawn cannot be decoded, or the pool is empty.
        """
        if not self._pictures:
            raise RecordError("tile pool: no pictures to cut tiles from; give some, or let every tile be noise")
        picture = self._picture(int(generator.integers(len(self._pictures))))
        share = float(generator.uniform(self._crop, 1.0))
        width, height = (max(1, round(side * share)) for side in picture.size)
        left = int(generator.integers(picture.width - width + 1))
        top = int(generator.integers(picture.height - height + 1))
        return picture.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))

    def _picture(self, index: int) -> Image.Image:
        if index not in self._ready:
            source = self._pictures[index]
            if isinstance(source, Image.Image):
                image = source.convert("RGB")
            else:
                image = (source if isinstance(source, ImageRef) else ImageRef.from_path(source)).open()
            if max(image.size) > self._max_side:
                scale = self._max_side / max(image.size)
                image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.BOX)
            self._ready[index] = image
        return self._ready[index]


def noise(size: tuple[int, int], generator: np.random.Generator) -> Image.Image:
    """Uniform RGB noise of ``size`` = (width, height)."""
    return Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders, ordered by their names.

    Raises:
        ConfigError: the folder does not exist or has no picture in it.
    """
    if not folder.is_dir():
        raise ConfigError(f"tile pool {folder}: no such folder; give a folder of pictures")
    # names relative to the folder decide the order, so that a moved folder gives the same tiles
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise ConfigError(f"tile pool {folder}: no picture in it ({', '.join(sorted(SUFFIXES))})")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
