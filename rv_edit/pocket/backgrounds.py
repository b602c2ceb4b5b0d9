"""Grounds of the eight places: pale, quiet patterns on which things stand out.

Every place has a few variants, drawn once a process larger than the picture; a picture is a window of one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from PIL import Image, ImageFilter

from rv_edit.pocket.drawing import grounds
from rv_edit.pocket.drawing.brush import Brush

VARIANTS = 4
WIDE = 192  # side of a variant, in pixels of the standard picture of 144
_SUPERSAMPLE = 3

GROUNDS: dict[str, Callable[[Brush], None]] = {
    "beach": grounds.beach,
    "meadow": grounds.meadow,
    "snow": grounds.snow,
    "kitchen": grounds.kitchen,
    "street": grounds.street,
    "carpet": grounds.carpet,
    "table": grounds.table,
    "roof": grounds.roof,
}


@cache
def background(place: str, variant: int, scale: float) -> Image.Image:
    """Ground of a place, RGB of ``round(192 * scale)`` squared, from the cache of this process."""
    side = round(WIDE * scale)
    brush = Brush(side * _SUPERSAMPLE, WIDE, Random(f"{place}/{variant}"))
    GROUNDS[place](brush)
    return brush.image.resize((side, side), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.35 * scale))
