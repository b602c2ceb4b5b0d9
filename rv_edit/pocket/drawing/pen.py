"""A pen that draws one thing: shapes become painted, shaded and outlined parts on a transparent sheet.

Coordinates are units of a sheet 100 wide and high, y downwards. Shapes are masks without anti-aliasing at a
multiple of the final resolution; shrinking the finished sheet smooths every edge at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from rv_edit.pocket.drawing.palette import PAINT, RGB, ink_of, pattern_of

Mask = Image.Image
Point = tuple[float, float]
Grey = NDArray[np.float32]

UNITS = 100.0


def smooth(points: Sequence[Point], closed: bool, steps: int = 12) -> list[Point]:
    """Catmull-Rom curve through the points, ``steps`` points a segment."""
    p = list(points)
    p = [p[-1], *p, p[0], p[1]] if closed else [p[0], *p, p[-1]]
    curve: list[Point] = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        for step in range(steps):
            t = step / steps
            x, y = (
                0.5 * (2 * q + (r - o) * t + (2 * o - 5 * q + 4 * r - s) * t * t + (3 * q - o - 3 * r + s) * t**3)
                for o, q, r, s in zip(a, b, c, d, strict=True)
            )
            curve.append((x, y))
    return curve if closed else [*curve, p[-1]]


class Pen:
    """Draws parts on a square sheet, back to front.

    Args:
        side: side of the sheet in (supersampled) pixels.
        colour: name of the body's colour.
        texture: name of the body's texture.
        period: units from one stripe, dot or check to the next.
        line: width of the outline in units.
    """

    def __init__(self, side: int, colour: str, texture: str, period: float, line: float) -> None:
        self.side = side
        self.scale = side / UNITS
        self.line = line
        self.paint = PAINT[colour]
        self.ink_rgb = ink_of(self.paint)
        self._rgb = np.zeros((side, side, 3), np.float32)
        self._alpha = np.zeros((side, side), np.float32)
        ys, xs = np.mgrid[:side, :side].astype(np.float32) / np.float32(self.scale)
        self._x, self._y = xs, ys
        pattern = pattern_mask(texture, xs, ys, period)[..., None]
        base, other = (np.asarray(rgb, np.float32) for rgb in (self.paint, pattern_of(colour, texture)))
        self._cloth = base * (1 - pattern) + other * pattern

    # -- shapes: each returns a mask ---------------------------------------------------------------------------
    def poly(self, points: Sequence[Point]) -> Mask:
        """Polygon with straight edges."""
        mask, draw = self._blank()
        draw.polygon(self._pixels(points), fill=255)
        return mask

    def blob(self, points: Sequence[Point]) -> Mask:
        """Closed smooth outline through the points."""
        return self.poly(smooth(points, closed=True))

    def oval(self, x0: float, y0: float, x1: float, y1: float) -> Mask:
        """Ellipse in a box."""
        mask, draw = self._blank()
        draw.ellipse([v * self.scale for v in (x0, y0, x1, y1)], fill=255)
        return mask

    def disc(self, x: float, y: float, radius: float) -> Mask:
        """Circle around a point."""
        return self.oval(x - radius, y - radius, x + radius, y + radius)

    def box(self, x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> Mask:
        """Rectangle, its corners rounded."""
        mask, draw = self._blank()
        draw.rounded_rectangle([v * self.scale for v in (x0, y0, x1, y1)], radius * self.scale, fill=255)
        return mask

    def stroke(self, points: Sequence[Point], width: float, curved: bool = False) -> Mask:
        """Line of a width with round ends and joints."""
        path = smooth(points, closed=False) if curved else list(points)
        mask, draw = self._blank()
        pixels, radius = self._pixels(path), width * self.scale / 2
        draw.line(pixels, fill=255, width=max(1, round(2 * radius)))
        for x, y in pixels:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        return mask

    # -- painting ----------------------------------------------------------------------------------------------
    def part(self, mask: Mask, tone: float = 1.0) -> None:
        """Paint a piece of the body: colour, texture, shading and outline. ``tone`` below 1 is darker."""
        self._outline(mask, self.ink_rgb)
        self._fill(mask, self._cloth * (tone * self._shading(mask)[..., None]))

    def solid(self, mask: Mask, rgb: RGB, outline: bool = True) -> None:
        """Paint a piece that is not of the body's colour (pages, wheels, flame)."""
        if outline:
            self._outline(mask, self.ink_rgb)
        self._fill(mask, np.asarray(rgb, np.float32) * self._shading(mask)[..., None])

    def ink(self, mask: Mask, strength: float = 0.85) -> None:
        """Draw a dark line or spot on what is there."""
        self._fill(mask, np.asarray(self.ink_rgb, np.float32), strength)

    def shine(self, mask: Mask, strength: float = 0.5, soft: float = 1.2) -> None:
        """Lay a soft white gleam on what is there; it never spreads beyond the thing."""
        weight = self._grey(mask.filter(ImageFilter.GaussianBlur(soft * self.scale)))[..., None] * strength
        self._rgb += (255.0 - self._rgb) * weight

    def shade(self, mask: Mask, strength: float = 0.3, soft: float = 1.5) -> None:
        """Lay a soft shadow on what is there; it never spreads beyond the thing."""
        weight = self._grey(mask.filter(ImageFilter.GaussianBlur(soft * self.scale)))[..., None] * strength
        self._rgb += (np.asarray(self.ink_rgb, np.float32) - self._rgb) * weight

    def sheet(self) -> Image.Image:
        """The finished drawing, RGBA of ``side`` x ``side``."""
        rgba = np.concatenate([self._rgb, self._alpha[..., None] * 255.0], axis=2)
        return Image.fromarray(np.clip(rgba + 0.5, 0, 255).astype(np.uint8), "RGBA")

    # -- inside ------------------------------------------------------------------------------------------------
    def _blank(self) -> tuple[Mask, ImageDraw.ImageDraw]:
        mask = Image.new("L", (self.side, self.side))
        return mask, ImageDraw.Draw(mask)

    def _pixels(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    @staticmethod
    def _grey(mask: Mask) -> Grey:
        return np.asarray(mask, np.float32) / np.float32(255.0)

    def _fill(self, mask: Mask, rgb: NDArray[np.float32], strength: float = 1.0) -> None:
        weight = self._grey(mask) * strength
        self._rgb += (rgb - self._rgb) * weight[..., None]
        if strength == 1.0:
            self._alpha = np.maximum(self._alpha, weight)

    def _outline(self, mask: Mask, rgb: RGB) -> None:
        # A blurred edge falls to 16 % one sigma outside: the threshold there grows the mask roundly by `line`.
        grown = mask.filter(ImageFilter.GaussianBlur(self.line * self.scale)).point(lambda v: 255 if v > 40 else 0)
        self._fill(grown, np.asarray(rgb, np.float32))

    def _shading(self, mask: Mask) -> Grey:
        """Light from the upper left: a slope over the part's box and a bevel along its edges, around 1."""
        left, top, right, bottom = mask.getbbox() or (0, 0, 1, 1)
        ys, xs = self._y * self.scale, self._x * self.scale
        slope = 0.5 * (xs - left) / (right - left) + 0.5 * (ys - top) / (bottom - top)
        relief = self._grey(mask.filter(ImageFilter.GaussianBlur(4.0 * self.scale)))
        step = max(1, round(3.0 * self.scale))
        rolled = np.roll(relief, (-step, -step), (0, 1)) - np.roll(relief, (step, step), (0, 1))
        return (1.07 - 0.16 * slope + 0.20 * rolled).astype(np.float32)


def pattern_mask(texture: str, x: Grey, y: Grey, period: float) -> Grey:
    """Share of the pattern's shade at each point: 0 for plain, 0 or 1 for the others.

    Args:
        texture: one of the world's textures.
        x: horizontal coordinates in units, (H, W).
        y: vertical coordinates in units, (H, W).
        period: units from one mark to the next.
    """
    if texture == "striped":
        marks = ((x + y) / np.float32(2**0.5) / period) % 1.0 < 0.46
    elif texture == "dotted":
        row = np.floor(y / period)
        dx = (x / period + 0.5 * (row % 2)) % 1.0 - 0.5
        dy = (y / period) % 1.0 - 0.5
        marks = dx * dx + dy * dy < 0.31**2
    elif texture == "checked":
        marks = (np.floor(2 * x / period) + np.floor(2 * y / period)) % 2 == 1
    else:
        marks = np.zeros_like(x, bool)
    return marks.astype(np.float32)


def join(*masks: Mask) -> Mask:
    """Union of shapes."""
    whole = masks[0]
    for mask in masks[1:]:
        whole = ImageChops.lighter(whole, mask)
    return whole


def cut(mask: Mask, *holes: Mask) -> Mask:
    """A shape without others."""
    return ImageChops.subtract(mask, join(*holes))


def meet(first: Mask, second: Mask) -> Mask:
    """Overlap of two shapes."""
    return ImageChops.darker(first, second)
