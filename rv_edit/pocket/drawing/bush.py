"""The leafy bush that stands in front of a hidden thing: one drawing for all, with a gap between its leaves."""

from __future__ import annotations

import math
from functools import lru_cache
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from rv_edit.pocket.drawing.palette import RGB, dimmed

# Middle and half axes of the gap in units of the sheet: what is behind the bush is seen only there.
GAP = (50.0, 48.0, 22.0, 16.0)
_SHADOW: RGB = (30, 58, 44)
_LEAVES: tuple[RGB, ...] = ((38, 84, 52), (48, 102, 58), (62, 122, 66), (82, 144, 76))


@lru_cache(maxsize=4)
def bush(side: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Back, front and gap of the bush on a sheet of ``side`` pixels.

    The back (RGBA) is its dark inside, the front (RGBA) its leaves; what stands between the two is cut to the gap
    (L), which the leaves frame.
    """
    rng = Random("bush")
    scale = side / 100.0
    shape = Image.new("L", (side, side))
    front = Image.new("RGBA", (side, side), (*_SHADOW, 0))
    outline, draw = ImageDraw.Draw(shape), ImageDraw.Draw(front)
    for depth, rgb in enumerate(_LEAVES):
        for x, y in _places(rng, inset=4.0 * depth):
            gap_x, gap_y, half_x, half_y = GAP
            margin = 7.5 - depth  # the foremost leaves hang a little into the gap
            if ((x - gap_x) / (half_x + margin)) ** 2 + ((y - gap_y) / (half_y + margin)) ** 2 < 1:
                continue
            leaf = [(u * scale, v * scale) for u, v in _leaf(rng, x, y)]
            lit = (1.16 - 0.34 * y / 100.0) * rng.uniform(0.94, 1.07)  # brighter towards the sky
            tint = dimmed(rgb, lit)
            draw.polygon(leaf, fill=tint, outline=dimmed(tint, 0.72), width=max(1, round(0.8 * scale)))
            outline.polygon(leaf, fill=255)
    rim = shape.filter(ImageFilter.GaussianBlur(1.6 * scale)).point(lambda v: 255 if v > 48 else 0)
    hole = Image.new("L", (side, side))
    ImageDraw.Draw(hole).ellipse([v * scale for v in _around_gap(7.0)], fill=255)
    back = Image.new("RGBA", (side, side), (*_SHADOW, 0))
    back.putalpha(ImageChops.lighter(rim, hole))
    return back, front, hole


def _around_gap(margin: float) -> tuple[float, float, float, float]:
    x, y, half_x, half_y = GAP
    return x - half_x - margin, y - half_y - margin, x + half_x + margin, y + half_y + margin


def _places(rng: Random, inset: float) -> list[tuple[float, float]]:
    """Places of leaves in a dome standing on the ground, on a jittered lattice."""
    places = []
    for row in range(10):
        for column in range(11):
            x = 8 + 8 * column + 4 * (row % 2) + rng.uniform(-2.5, 2.5)
            y = 11 + 8.5 * row + rng.uniform(-2.5, 2.5)
            dome = ((x - 50) / (42 - inset)) ** 2 + ((y - 52 + 0.5 * inset) / (43 - inset)) ** 2
            if dome < 1 and y < 90:
                places.append((x, y))
    rng.shuffle(places)
    return places


def _leaf(rng: Random, x: float, y: float) -> list[tuple[float, float]]:
    """A pointed oval leaf that looks away from the middle of the bush."""
    angle = math.atan2(y - 62, x - 50) + rng.uniform(-0.7, 0.7)
    length, width = rng.uniform(7.5, 9.5), rng.uniform(3.6, 4.8)
    ahead, side = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    profile = [(-1.0, 0.0), (-0.6, 0.7), (0.0, 1.0), (0.55, 0.65), (1.0, 0.0)]
    profile += [(t, -w) for t, w in reversed(profile[1:-1])]
    return [
        (x + t * length * ahead[0] + w * width * side[0], y + t * length * ahead[1] + w * width * side[1])
        for t, w in profile
    ]
