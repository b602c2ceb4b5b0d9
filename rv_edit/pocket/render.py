"""The renderer of the pocket world: a scene becomes pixels, exactly determined by the scene.

Every thing lies, shadow included, completely inside its cell of the 3 x 3 grid, so a crop of a cell is a crop of
one thing. Backgrounds and sprites come from caches that fill lazily; a picture is then a handful of pastes.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from rv_edit.pocket.backgrounds import VARIANTS, background
from rv_edit.pocket.drawing.palette import LIGHT
from rv_edit.pocket.scene import GRID, Scene, Thing
from rv_edit.pocket.sprites import CELL, Sprite, sprites

STANDARD = GRID * CELL
_JITTER_PX = {"small": 6.0, "large": 2.0}
_SHADOW_RGB = (26, 24, 44)
_FADE_PX = 3.0  # width of the margin of a cell in which a shadow dies away
_GRAIN = 4  # largest step of the grain, in 8-bit levels
_GRAIN_TILES = 16


def render(scene: Scene, size: int = STANDARD) -> Image.Image:
    """Draw a scene.

    Args:
        scene: what to draw; equal scenes give equal pixels, in every process.
        size: side of the square picture in pixels, a multiple of 3 (the grid) from 48 on.

    Returns:
        RGB picture of ``size`` x ``size``; cell ``(row, col)`` is the square of ``size / 3`` pixels there.

    Raises:
        ValueError: ``size`` cannot be cut into 3 x 3 equal cells, or is too small to show anything.
    """
    if size % GRID or size < CELL:
        raise ValueError(f"size {size}: the side of a picture must be a multiple of {GRID} and at least {CELL}.")
    scale = size / STANDARD
    rng = Random(f"{scene.seed}/ground")
    ground = background(scene.place, rng.randrange(VARIANTS), scale)
    x, y = (rng.randint(0, ground.width - size) for _ in range(2))
    picture = ground.crop((x, y, x + size, y + size))
    cell = size // GRID
    for thing in scene.things:
        _place(picture, thing, Random(f"{scene.seed}/{thing.row}/{thing.col}"), cell, scale)
    picture = ImageChops.multiply(picture, _light(scene.light, size))
    return Image.fromarray(_grainy(np.asarray(picture), rng))


def render_png(scene: Scene) -> bytes:
    """The standard picture of a scene as a PNG file."""
    buffer = BytesIO()
    render(scene).save(buffer, "PNG")
    return buffer.getvalue()


def _place(picture: Image.Image, thing: Thing, rng: Random, cell: int, scale: float) -> None:
    """Paste a thing into its cell, tilted and moved a little, cut at the cell's border."""
    drawn = rng.choice(sprites(thing.kind, thing.colour, thing.texture, thing.size, thing.hidden, scale))
    dx, dy = _jitter(drawn, rng, cell, _JITTER_PX[thing.size] * scale)
    left, top = thing.col * cell, thing.row * cell
    patch = picture.crop((left, top, left + cell, top + cell))
    shadow = Image.new("L", (cell, cell))
    shadow.paste(drawn.shadow, (dx, dy))
    patch.paste(_SHADOW_RGB, (0, 0), ImageChops.multiply(shadow, _fade(cell, scale)))
    patch.paste(drawn.image, (dx, dy), drawn.image)
    picture.paste(patch, (left, top))


def _jitter(drawn: Sprite, rng: Random, cell: int, most: float) -> tuple[int, int]:
    """A shift in pixels that keeps the thing itself (its shadow may be cut) inside the cell."""
    left, top, right, bottom = drawn.box
    dx = max(-left, min(cell - right, round(rng.uniform(-most, most))))
    dy = max(-top, min(cell - bottom, round(rng.uniform(-most, most))))
    return dx, dy


@cache
def _fade(cell: int, scale: float) -> Image.Image:
    """White, but black at the border of a cell, so that a shadow ends softly inside it."""
    inward = np.minimum(np.arange(cell), np.arange(cell)[::-1]).astype(np.float32)
    ramp = np.clip(inward / (_FADE_PX * scale), 0, 1)
    return Image.fromarray(np.rint(255 * ramp[:, None] * ramp[None, :]).astype(np.uint8))


@cache
def _light(light: str, size: int) -> Image.Image:
    """What the light leaves of white, from top to bottom, with slightly dimmer corners."""
    top, bottom = (np.asarray(rgb, np.float32) for rgb in LIGHT[light])
    down = np.linspace(0, 1, size, dtype=np.float32)
    sheet = top + (bottom - top) * down[:, None, None] + np.zeros((size, size, 3), np.float32)
    off = np.abs(down - 0.5) * 2
    corner = 1 - 0.07 * (off[:, None] ** 2) * (off[None, :] ** 2)
    return Image.fromarray(np.clip(sheet * corner[..., None] + 0.5, 0, 255).astype(np.uint8))


@cache
def _grain(tile: int, size: int) -> NDArray[np.int16]:
    noise = np.random.default_rng(tile).triangular(-_GRAIN, 0, _GRAIN, (size, size, 1))
    return np.rint(noise).astype(np.int16)


def _grainy(pixels: NDArray[np.uint8], rng: Random) -> NDArray[np.uint8]:
    noise = _grain(rng.randrange(_GRAIN_TILES), pixels.shape[0])
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)
