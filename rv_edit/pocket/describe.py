"""Referring expressions: how a question names a thing without naming its kind.

A :class:`Description` is a set of slots (colour, neighbour, place, …); two texts mean the same thing
when their slots are equal, however they are worded. ``nominal`` renders one with random synonyms.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from random import Random

from rv_edit.pocket.scene import Scene, Thing

SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
TEXTURE_WORDS = {
    "plain": ("plain", "unpatterned"),
    "striped": ("striped", "banded"),
    "dotted": ("dotted", "spotted"),
    "checked": ("checked", "chequered"),
}
COLOUR_WORDS = {
    "red": ("red", "scarlet"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "lemon"),
    "green": ("green", "emerald"),
    "blue": ("blue", "azure"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rosy"),
    "grey": ("grey", "ashen"),
}
NOUNS = ("thing", "object", "item", "article")
SIDE_WORDS = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "near": ("near", "close to"),
}
ROW_WORDS = (("at the top",), ("halfway up", "at medium height"), ("at the bottom",))
PLACE_WORDS = {
    "beach": ("on the beach", "on the sand"),
    "meadow": ("in the meadow", "on the grass"),
    "snow": ("in the snow", "on the snowy ground"),
    "kitchen": ("on the kitchen tiles", "in the kitchen"),
    "street": ("on the street", "on the road"),
    "carpet": ("on the carpet", "on the rug"),
    "table": ("on the table", "on the wooden boards"),
    "roof": ("on the roof", "on the shingles"),
}
LIGHT_WORDS = {
    "day": ("in daylight", "by day"),
    "dusk": ("at dusk", "in the evening light"),
    "night": ("at night", "in the dark"),
}
LOOKS = ("colour", "texture", "size")
Slot = tuple[str, str]


def side(thing: Thing, other: Thing) -> str | None:
    """Where ``thing`` stands seen from ``other``: in its row, its column, or diagonally next to it."""
    if thing.row == other.row:
        return "left" if thing.col < other.col else "right"
    if thing.col == other.col:
        return "above" if thing.row < other.row else "below"
    return "near" if abs(thing.row - other.row) == abs(thing.col - other.col) == 1 else None


@dataclass(frozen=True)
class Description:
    """Slots that hold of a thing in its scene; ``kind`` among them names the thing outright.

    Raises:
        ValueError: two values for one slot: which of them is spoken of would depend on the order of a set.
    """

    slots: frozenset[Slot]

    def __post_init__(self) -> None:
        if len({name for name, _ in self.slots}) < len(self.slots):
            raise ValueError(f"two values for one slot: {sorted(self.slots)}")

    def get(self, name: str) -> str | None:
        """The value of a slot."""
        return next((value for slot, value in self.slots if slot == name), None)

    def fits(self, thing: Thing, scene: Scene) -> bool:
        """Whether every slot holds of this thing in this scene."""
        return all(_holds(slot, value, thing, scene) for slot, value in self.slots)

    def referent(self, scene: Scene) -> Thing | None:
        """The one thing that fits, or ``None`` when none or several do."""
        fitting = [thing for thing in scene.things if self.fits(thing, scene)]
        return fitting[0] if len(fitting) == 1 else None

    def nominal(self, rng: Random) -> str:
        """Words without the article: ``small red thing near the lamp on the beach``."""
        looks = [
            rng.choice(words[value])
            for name, words in (("size", SIZE_WORDS), ("texture", TEXTURE_WORDS), ("colour", COLOUR_WORDS))
            if (value := self.get(name))
        ]
        noun = self.get("kind") or rng.choice(NOUNS)
        tail = []
        for name in SIDE_WORDS:
            if value := self.get(name):
                tail.append(f"{rng.choice(SIDE_WORDS[name])} the {value}")
        if value := self.get("row"):
            tail.append(rng.choice(ROW_WORDS[int(value)]))
        if value := self.get("place"):
            tail.append(rng.choice(PLACE_WORDS[value]))
        if value := self.get("light"):
            tail.append(rng.choice(LIGHT_WORDS[value]))
        return " ".join([*looks, noun, *tail])

    def phrase(self, rng: Random) -> str:
        """Words with the article: ``the small red thing near the lamp``."""
        return f"the {self.nominal(rng)}"


def _holds(slot: str, value: str, thing: Thing, scene: Scene) -> bool:
    if slot == "kind" or slot in LOOKS:
        return getattr(thing, slot) == value
    if slot == "row":
        return thing.row == int(value)
    if slot in ("place", "light"):
        return getattr(scene, slot) == value
    others = [other for other in scene.things if other is not thing]  # nothing is to the right of itself
    return any(other.kind == value and not other.hidden and side(thing, other) == slot for other in others)


def looks_of(thing: Thing, names: tuple[str, ...]) -> frozenset[Slot]:
    """The looks slots of a thing."""
    return frozenset((name, getattr(thing, name)) for name in names)


def extras_of(thing: Thing, scene: Scene) -> list[Slot]:
    """Further slots that hold: neighbours, row, place, light."""
    slots: list[Slot] = [("row", str(thing.row)), ("place", scene.place), ("light", scene.light)]
    for other in scene.things:
        if other is not thing and not other.hidden and (where := side(thing, other)):
            slots += [(where, other.kind)] * 2  # neighbours tell more than places: offer them twice
    return slots


def describe(thing: Thing, scene: Scene, rng: Random, extras: int = 2, kind: bool = False) -> Description:
    """A description of a thing by looks that nothing else in the scene has, and up to ``extras`` more.

    The looks alone always single the thing out, so the rest enriches the text and must merely be true. At least two
    of the looks are named, or one where there are no extras.
    """
    subsets = [names for n in ((2, 3) if extras else (1, 2, 3)) for names in combinations(LOOKS, n)]
    unique = [
        names
        for names in subsets
        if all(looks_of(other, names) != looks_of(thing, names) for other in scene.things if other is not thing)
    ]
    if kind:
        slots = {("kind", thing.kind)} | (set(looks_of(thing, ("colour",))) if rng.random() < 0.5 else set())
    else:
        slots = set(looks_of(thing, rng.choice(unique)))
    options = extras_of(thing, scene)
    rng.shuffle(options)
    taken: set[str] = set()
    for name, value in options:
        if len(taken) < extras and name not in taken and not (taken & set(SIDE_WORDS) and name in SIDE_WORDS):
            slots.add((name, value))
            taken.add(name)
    return Description(frozenset(slots))
