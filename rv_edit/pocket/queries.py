"""Questions of the pocket world as meaning first, words second.

A :class:`Query` fixes what is asked; ``render`` words it at random, with training templates or with the
held-out ones. Two queries mean the same exactly when they are equal, whatever their words.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from rv_edit.pocket.describe import LIGHT_WORDS, PLACE_WORDS, Description
from rv_edit.pocket.scene import COLOURS, GRID, KINDS, LIGHTS, PLACES, TEXTURES
from rv_edit.pocket.tables import RELATIONS

ROWS = ("top", "middle", "bottom")
LIGHT_NAMES = {"day": "daylight", "dusk": "dusk", "night": "night"}
COUNTS = ("one", "two", "three", "four")
# what a query asks -> (training wordings, held-out wordings)
_WORDINGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "kind": (
        ("What is {ref}?", "What kind of thing is {ref}?", "What would you call {ref}?", "Can you name {ref}?"),
        ("What name would you call {ref}?",),
    ),
    "colour": (
        ("What colour is {ref}?", "Which colour does {ref} have?", "In what colour is {ref} painted?"),
        ("Which colour is {ref} painted in?",),
    ),
    "texture": (
        ("What pattern does {ref} have?", "How is {ref} patterned?", "Which pattern covers {ref}?"),
        ("Which pattern does {ref} have?",),
    ),
    "row": (
        ("How high up is {ref}?", "In which row is {ref}?", "At what height do you see {ref}?"),
        ("In what row do you see {ref}?",),
    ),
    "place": (
        ("What place is shown here?", "Where was this picture taken?", "What is the ground in this scene?"),
        ("What place was this picture taken in?",),
    ),
    "light": (
        ("What time of day is it?", "What is the light like here?", "When was this picture taken?"),
        ("What time was this picture taken?",),
    ),
    "count": (("How many things are there?", "What is the number of things here?"), ("How many things are here?",)),
}
VISUAL = tuple(_WORDINGS)


@dataclass(frozen=True)
class Query:
    """``about``: ``value`` (a kind's value of ``relation``), ``which`` (the kind that has ``value``), or a visual one.

    ``about='colour'`` and ``'row'`` may refer by knowledge: with ``relation`` and ``value`` set, the thing is "the
    thing used for drinking tea".
    """

    about: str
    description: Description
    relation: str = ""
    value: str = ""

    def render(self, rng: Random, held: bool = False) -> str:
        """Words for this query; ``held`` picks from the held-out templates."""
        if self.about == "value":
            relation = RELATIONS[self.relation]
            return _fill(rng.choice(relation.held if held else relation.ask), ref=self.description.phrase(rng))
        if self.about == "which":
            relation = RELATIONS[self.relation]
            template = rng.choice(relation.inverse_held if held else relation.inverse)
            return _fill(template, nom=self.description.nominal(rng), v=self.value)
        ref = self.description.phrase(rng)
        if self.relation:
            ref += " " + rng.choice(RELATIONS[self.relation].clause).format(v=self.value)
        return _fill(rng.choice(_WORDINGS[self.about][held]), ref=ref)

    def wordings(self, held: bool = False) -> int:
        """How many templates this query can be worded with."""
        if self.about in ("value", "which"):
            relation = RELATIONS[self.relation]
            pairs = {"value": (relation.ask, relation.held), "which": (relation.inverse, relation.inverse_held)}
            return len(pairs[self.about][held])
        return len(_WORDINGS[self.about][held])


def _fill(template: str, **parts: str) -> str:
    text = template.format(**parts)
    return text[0].upper() + text[1:]


def visual_pool(about: str) -> tuple[str, ...]:
    """Possible answers to a visual query.

    >>> visual_pool("row")
    ('top', 'middle', 'bottom')
    """
    pools: dict[str, tuple[str, ...]] = {
        "kind": KINDS,
        "colour": COLOURS,
        "texture": TEXTURES,
        "row": ROWS[:GRID],
        "place": PLACES,
        "light": tuple(LIGHT_NAMES[light] for light in LIGHTS),
        "count": COUNTS,
        "which": KINDS,
    }
    return pools[about]


assert set(PLACE_WORDS) == set(PLACES) and set(LIGHT_WORDS) == set(LIGHTS)
