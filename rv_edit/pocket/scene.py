"""Scenes of the pocket world: up to four drawn things on a 3 x 3 grid, somewhere, in some light.

A scene is pure data. The renderer turns it into pixels, the question generators into words, and the
knowledge base knows what its kinds of things are used for. A cell of the grid is a patch of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

KINDS = (
    "mug", "lamp", "book", "ball", "umbrella", "key", "hat", "boot", "drum", "bell",
    "kite", "boat", "chair", "clock", "candle", "bottle", "guitar", "car", "glove", "crown",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "grey")
TEXTURES = ("plain", "striped", "dotted", "checked")
SIZES = ("small", "large")
PLACES = ("beach", "meadow", "snow", "kitchen", "street", "carpet", "table", "roof")
LIGHTS = ("day", "dusk", "night")
GRID = 3


@dataclass(frozen=True)
class Thing:
    """One drawn thing in cell ``(row, col)``; ``hidden`` things stand behind a bush that hides their kind."""

    kind: str
    colour: str
    texture: str
    size: str
    row: int
    col: int
    hidden: bool = False

    @property
    def looks(self) -> tuple[str, str, str]:
        """What can be seen even of a hidden thing: colour, texture, size."""
        return self.colour, self.texture, self.size


@dataclass(frozen=True)
class Scene:
    """Things at distinct cells; ``seed`` fixes the small accidents of drawing (jitter, grain, tilt)."""

    things: tuple[Thing, ...]
    place: str
    light: str
    seed: int = 0

    def at(self, row: int, col: int) -> Thing | None:
        """The thing in a cell, if any."""
        return next((thing for thing in self.things if (thing.row, thing.col) == (row, col)), None)

    def redrawn(self, seed: int) -> Scene:
        """The same scene with other accidents of drawing."""
        return replace(self, seed=seed)


def is_held_out(kind: str, colour: str) -> bool:
    """Kind and colour pairs that no training picture shows (one colour a kind), to test composition.

    >>> sum(is_held_out(kind, colour) for kind in KINDS for colour in COLOURS)
    20
    """
    return COLOURS[(3 * KINDS.index(kind) + 1) % len(COLOURS)] == colour


def random_scene(rng: Random, n_things: int | None = None, held_out: bool = False, hidden: float = 0.0) -> Scene:
    """Draw a scene whose things differ in kind and in looks, so that each can be told apart.

    Args:
        rng: source of randomness.
        n_things: 1 to 4, drawn when ``None``.
        held_out: whether held-out kind and colour pairs may occur.
        hidden: probability that one of the things stands behind a bush.
    """
    count = n_things or rng.choices((1, 2, 3, 4), (1, 3, 4, 2))[0]
    cells = rng.sample([(row, col) for row in range(GRID) for col in range(GRID)], count)
    kinds = rng.sample(KINDS, count)
    things: list[Thing] = []
    for kind, (row, col) in zip(kinds, cells, strict=True):
        while True:
            looks = rng.choice(COLOURS), rng.choice(TEXTURES), rng.choice(SIZES)
            if not held_out and is_held_out(kind, looks[0]):
                continue
            if all(looks != other.looks for other in things):
                break
        things.append(Thing(kind, *looks, row=row, col=col))
    if rng.random() < hidden:
        index = rng.randrange(count)
        things[index] = replace(things[index], hidden=True)
    return Scene(tuple(things), rng.choice(PLACES), rng.choice(LIGHTS), rng.randrange(2**31))
