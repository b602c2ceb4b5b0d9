"""Sprites: every look of a thing, drawn once a process, tilted, shrunk and given its soft shadow.

Lengths are in pixels of the standard picture of 144; ``scale`` enlarges everything together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from rv_edit.pocket import sprite_cache
from rv_edit.pocket.drawing import indoors, outdoors
from rv_edit.pocket.drawing.bush import GAP, bush
from rv_edit.pocket.drawing.pen import Pen

CELL = 48
SPAN = {"large": 43.0, "small": 27.0}
BUSH_SPAN = {"large": 46.0, "small": 32.0}
TILTS = (-6.0, -3.0, 0.0, 3.0, 6.0)

_SUPERSAMPLE = 4
_LINE_PX = {"large": 1.05, "small": 0.85}
# Units between marks: wide enough to be told apart when the picture is halved.
_PERIOD = {
    "large": {"plain": 1.0, "striped": 23.0, "dotted": 25.0, "checked": 29.0},
    "small": {"plain": 1.0, "striped": 28.0, "dotted": 31.0, "checked": 36.0},
}
_SHADOW_PX = (1.4, 1.9, 1.3)  # to the right, down, blur
_SHADOW_SHARE = 0.45

Draw = Callable[[Pen], None]

# How a kind is drawn, and a point of its body that shows nothing but colour and texture.
DRAWINGS: dict[str, tuple[Draw, tuple[float, float]]] = {
    "mug": (indoors.mug, (40, 64)),
    "lamp": (indoors.lamp, (50, 36)),
    "book": (indoors.book, (50, 57)),
    "ball": (outdoors.ball, (52, 54)),
    "umbrella": (outdoors.umbrella, (46, 36)),
    "key": (indoors.key, (42, 44)),
    "hat": (outdoors.hat, (50, 40)),
    "boot": (outdoors.boot, (41, 44)),
    "drum": (indoors.drum, (50, 74)),
    "bell": (indoors.bell, (50, 54)),
    "kite": (outdoors.kite, (64, 48)),
    "boat": (outdoors.boat, (70, 52)),
    "chair": (indoors.chair, (46, 22)),
    "clock": (indoors.clock, (24, 72)),
    "candle": (indoors.candle, (45, 66)),
    "bottle": (indoors.bottle, (50, 48)),
    "guitar": (outdoors.guitar, (38, 72)),
    "car": (outdoors.car, (50, 60)),
    "glove": (outdoors.glove, (51, 60)),
    "crown": (outdoors.crown, (50, 62)),
}


@dataclass(frozen=True)
class Sprite:
    """A thing in the middle of a cell (RGBA), the weight of its shadow (L), and the box that the thing covers."""

    image: Image.Image
    shadow: Image.Image
    box: tuple[int, int, int, int]


@cache
def sprites(kind: str, colour: str, texture: str, size: str, hidden: bool, scale: float) -> tuple[Sprite, ...]:
    """The sprites of a look, one a tilt (a bush does not tilt), from the cache of this process.

    Args:
        kind: what it is.
        colour: its colour.
        texture: its texture.
        size: ``"small"`` or ``"large"``.
        hidden: whether it stands behind the bush.
        scale: pixels of the picture per pixel of the standard one.
    """
    if scale != 1.0:  # unusual sizes are not worth keeping
        return _drawn(kind, colour, texture, size, hidden, scale)
    look = (kind, colour, texture, size, "hidden" if hidden else "open")
    stored = sprite_cache.recall(look)
    if stored is None:
        drawn = _drawn(kind, colour, texture, size, hidden, scale)
        images = np.stack([np.asarray(one.image) for one in drawn])
        shadows = np.stack([np.asarray(one.shadow) for one in drawn])
        sprite_cache.keep(look, (images, shadows, np.array([one.box for one in drawn])))
        return drawn
    return tuple(
        Sprite(Image.fromarray(image), Image.fromarray(shadow), (int(box[0]), int(box[1]), int(box[2]), int(box[3])))
        for image, shadow, box in zip(*stored, strict=True)
    )


def _drawn(kind: str, colour: str, texture: str, size: str, hidden: bool, scale: float) -> tuple[Sprite, ...]:
    sheet = _sheet(kind, colour, texture, size, scale)
    if not hidden:
        return tuple(_sprite(sheet, tilt, SPAN[size], scale) for tilt in TILTS)
    return (_sprite(_behind_bush(sheet, kind, size, scale), 0.0, BUSH_SPAN[size], scale),)


def _sprite(sheet: Image.Image, tilt: float, span: float, scale: float) -> Sprite:
    turned = sheet.rotate(tilt, Image.Resampling.BICUBIC, expand=True)
    turned = turned.crop(turned.getbbox())
    # As much empty frame around the thing as makes it `span` of a cell, whatever the tilt.
    frame = round(sheet.width * CELL / span)
    canvas = Image.new("RGBA", (frame, frame))
    canvas.paste(turned, ((frame - turned.width) // 2, (frame - turned.height) // 2))
    cell = round(CELL * scale)
    small = canvas.resize((cell, cell), Image.Resampling.BOX)
    box = small.getchannel("A").point(lambda v: 255 if v > 8 else 0).getbbox() or (0, 0, cell, cell)
    return Sprite(small, _shadow(small.getchannel("A"), scale), box)


def _sheet(kind: str, colour: str, texture: str, size: str, scale: float) -> Image.Image:
    span = SPAN[size] * scale
    line = 100.0 * _LINE_PX[size] * scale / span
    pen = Pen(round(span * _SUPERSAMPLE), colour, texture, _PERIOD[size][texture], line)
    DRAWINGS[kind][0](pen)
    return pen.sheet()


def _behind_bush(thing: Image.Image, kind: str, size: str, scale: float) -> Image.Image:
    """The thing behind the bush, moved so that its plain body is behind the gap of the leaves."""
    side = round(BUSH_SPAN[size] * scale * _SUPERSAMPLE)
    back, front, gap = bush(side)
    x, y = DRAWINGS[kind][1]
    left, top = (round(to / 100.0 * side - at / 100.0 * thing.width) for to, at in ((GAP[0], x), (GAP[1], y)))
    behind = Image.new("RGBA", (side, side))
    behind.paste(thing, (left, top))
    behind.putalpha(ImageChops.darker(behind.getchannel("A"), gap))
    return Image.alpha_composite(Image.alpha_composite(back, behind), front)


def _shadow(alpha: Image.Image, scale: float) -> Image.Image:
    right, down, blur = (v * scale for v in _SHADOW_PX)
    moved = Image.new("L", alpha.size)
    moved.paste(alpha, (round(right), round(down)))
    return moved.filter(ImageFilter.GaussianBlur(blur)).point(lambda v: round(v * _SHADOW_SHARE))
