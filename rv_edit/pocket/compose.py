"""Scenes made to order: with a given thing that a given description singles out, all else at random."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from rv_edit.pocket.describe import SIDE_WORDS, Description
from rv_edit.pocket.judge import Fact, Sighting, Statement, judge
from rv_edit.pocket.knowledge import truth
from rv_edit.pocket.queries import Query
from rv_edit.pocket.scene import COLOURS, GRID, KINDS, LIGHTS, PLACES, SIZES, TEXTURES, Scene, Thing

_ATTEMPTS = 200


def _beside(side: str, rng: Random) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two cells, the first on the given side of the second."""
    cells = [(row, col) for row in range(GRID) for col in range(GRID)]
    while True:
        (row, col), (row2, col2) = rng.sample(cells, 2)
        if side == "left" and row == row2 and col < col2 or side == "right" and row == row2 and col > col2:
            return (row, col), (row2, col2)
        if side == "above" and col == col2 and row < row2 or side == "below" and col == col2 and row > row2:
            return (row, col), (row2, col2)
        if side == "near" and abs(row - row2) == abs(col - col2) == 1:
            return (row, col), (row2, col2)


def scene_with(
    description: Description,
    kind: str,
    rng: Random,
    hidden: bool = False,
    neighbour: tuple[str, str] | None = None,
    least: int = 1,
) -> Scene | None:
    """A random scene in which ``description`` fits exactly one thing, of this kind.

    Args:
        description: must hold of the thing (a slot ``kind`` must agree); one without slots singles nothing out, and
            need not.
        kind: of the thing.
        rng: source of randomness.
        hidden: whether the thing stands behind a bush.
        neighbour: ``(side, other kind)`` that must hold as well.
        least: things at least, so that an answer cannot be read off a picture of a single thing.

    Returns:
        ``None`` where no such scene was found (contradictory wishes).
    """
    for _ in range(_ATTEMPTS):
        scene = _attempt(description, kind, rng, hidden, neighbour, least)
        if scene is not None:
            return scene
    return None


def _attempt(
    description: Description, kind: str, rng: Random, hidden: bool, neighbour: tuple[str, str] | None, least: int
) -> Scene | None:
    sides = [(side, other) for side in SIDE_WORDS if (other := description.get(side))]
    if neighbour and neighbour not in sides:
        sides.append(neighbour)
    if len(sides) > 2 or any(other == kind for _, other in sides):
        return None
    cell = rng.randrange(GRID), rng.randrange(GRID)
    things: list[Thing] = []
    cells = {cell}
    for side, other in sides:
        first, second = _beside(side, rng)
        if things and (first != cell or second in cells):  # a second neighbour must fit the cell that the first fixed
            return None
        cell = first
        things.append(_thing(other, second, rng))
        cells = {cell, *((one.row, one.col) for one in things)}
    looks = {
        "colour": description.get("colour") or rng.choice(COLOURS),
        "texture": description.get("texture") or rng.choice(TEXTURES),
        "size": description.get("size") or rng.choice(SIZES),
    }
    subject = Thing(kind, **looks, row=cell[0], col=cell[1], hidden=hidden)
    free = [(row, col) for row in range(GRID) for col in range(GRID) if (row, col) not in cells]
    kinds = [one for one in KINDS if one != kind and all(one != thing.kind for thing in things)]
    count = max(rng.choices((1, 2, 3, 4), (1, 3, 4, 2))[0], least)
    while len(things) + 1 < count:
        place = free.pop(rng.randrange(len(free)))
        things.append(_thing(kinds.pop(rng.randrange(len(kinds))), place, rng))
    if any(one.looks == other.looks for i, one in enumerate([subject, *things]) for other in things[i:]):
        return None
    everything = [subject, *things]
    rng.shuffle(everything)
    scene = Scene(
        tuple(everything),
        description.get("place") or rng.choice(PLACES),
        description.get("light") or rng.choice(LIGHTS),
        rng.randrange(2**31),
    )
    if description.slots and description.referent(scene) is not subject:
        return None
    return scene


def _thing(kind: str, cell: tuple[int, int], rng: Random) -> Thing:
    return Thing(kind, rng.choice(COLOURS), rng.choice(TEXTURES), rng.choice(SIZES), *cell)


def true_answer(query: Query, scene: Scene) -> str | None:
    """What is right today, whoever knows it: hidden kinds told, all facts stated.

    >>> from rv_edit.pocket.scene import random_scene
    >>> scene = random_scene(Random(0), n_things=2)
    >>> thing = scene.things[0]
    >>> named = Query("value", Description(frozenset({("kind", thing.kind)})), "material")
    >>> true_answer(named, scene) == truth(thing.kind, "material")
    True
    """
    facts: list[Statement] = []
    if query.relation:
        facts += [Fact(kind, query.relation, truth(kind, query.relation)) for kind in KINDS]
    thing = query.description.referent(scene)
    if thing is not None and thing.hidden:
        facts.append(Sighting(query.description, thing.kind))
    return judge(query, facts, scene)


def varied(scene: Scene, description: Description, rng: Random) -> Scene:
    """The same things in the same cells, drawn anew, in other light where the description does not speak of it."""
    light = scene.light if description.get("light") else rng.choice(LIGHTS)
    return replace(scene, light=light, seed=rng.randrange(2**31))
