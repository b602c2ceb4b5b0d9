"""A brush for grounds: simple marks in the units of the standard picture, with its own source of randomness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from rv_edit.pocket.drawing.palette import RGB, dimmed
from rv_edit.pocket.drawing.pen import Point


class Brush:
    """Paints on a square ground.

    Args:
        side: side in (supersampled) pixels.
        units: side in units.
        rng: accidents of this variant.
    """

    def __init__(self, side: int, units: float, rng: Random) -> None:
        self.units = units
        self.rng = rng
        self.image = Image.new("RGB", (side, side))
        self._k = side / units
        self._draw = ImageDraw.Draw(self.image)

    def wash(self, rgb: RGB) -> None:
        """Cover everything."""
        self._draw.rectangle((0, 0, *self.image.size), fill=rgb)

    def poly(self, points: Sequence[Point], rgb: RGB, edge: RGB | None = None, width: float = 1.0) -> None:
        """Filled polygon, with an edge if asked for."""
        self._draw.polygon(self._at(points), fill=rgb, outline=edge, width=max(1, round(width * self._k)))

    def line(self, points: Sequence[Point], rgb: RGB, width: float) -> None:
        """Line with round joints."""
        self._draw.line(self._at(points), fill=rgb, width=max(1, round(width * self._k)), joint="curve")

    def disc(self, x: float, y: float, rx: float, rgb: RGB, ry: float | None = None) -> None:
        """Circle or upright ellipse."""
        ry = rx if ry is None else ry
        self._draw.ellipse([v * self._k for v in (x - rx, y - ry, x + rx, y + ry)], fill=rgb)

    def box(self, x0: float, y0: float, x1: float, y1: float, rgb: RGB, radius: float = 0.0) -> None:
        """Rectangle with rounded corners."""
        self._draw.rounded_rectangle([v * self._k for v in (x0, y0, x1, y1)], radius * self._k, fill=rgb)

    def blur(self, radius: float) -> None:
        """Soften all that was painted so far."""
        self.image = self.image.filter(ImageFilter.GaussianBlur(radius * self._k))
        self._draw = ImageDraw.Draw(self.image)

    def spots(self, count: int) -> Iterator[Point]:
        """Random places all over the ground."""
        for _ in range(count):
            yield self.rng.uniform(0, self.units), self.rng.uniform(0, self.units)

    def tint(self, rgb: RGB, spread: float) -> RGB:
        """The colour, a little lighter or darker by chance."""
        return dimmed(rgb, 1.0 + self.rng.uniform(-spread, spread))

    def _at(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._k, y * self._k) for x, y in points]
