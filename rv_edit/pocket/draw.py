"""Random queries about a scene, and the words for options."""

from __future__ import annotations

from random import Random

from rv_edit.pocket.describe import SIDE_WORDS, Description, describe, extras_of
from rv_edit.pocket.knowledge import believed, pool, truth
from rv_edit.pocket.queries import Query, visual_pool
from rv_edit.pocket.scene import KINDS, Scene, Thing
from rv_edit.pocket.tables import RELATIONS

NOTHING = Description(frozenset())
RICH_EXTRAS = (1, 2, 2)
"""How many details a description of a question on knowledge has, each as likely."""


def value_query(
    scene: Scene, thing: Thing, relation: str, rng: Random, named: float = 0.2, extras: tuple[int, ...] = RICH_EXTRAS
) -> Query:
    """Ask for a kind's value; ``named`` is the chance that the kind is named instead of described."""
    by_name = not thing.hidden and rng.random() < named
    return Query("value", describe(thing, scene, rng, extras=rng.choice(extras), kind=by_name), relation)


def which_query(scene: Scene, thing: Thing, relation: str, value: str, rng: Random) -> Query:
    """Ask which thing has a value; true details of the thing may narrow it down."""
    options = extras_of(thing, scene) + [("texture", thing.texture), ("size", thing.size), ("colour", thing.colour)]
    slots: dict[str, str] = {}
    for name, option in rng.sample(options, min(len(options), rng.choice((1, 1, 2, 2)))):
        if not (name in SIDE_WORDS and slots.keys() & SIDE_WORDS.keys()):  # one neighbour is enough
            slots[name] = option
    return Query("which", Description(frozenset(slots.items())), relation, value)


def visual_query(scene: Scene, rng: Random, extras: tuple[int, ...] = (0, 1, 2)) -> Query:
    """Ask for something that eyes alone can tell."""
    about = rng.choices(
        ("kind", "colour", "texture", "row", "place", "light", "count"), (6, 2, 1.5, 1.5, 0.7, 0.7, 0.7)
    )[0]
    if about in ("place", "light", "count"):
        return Query(about, NOTHING)
    thing = rng.choice(scene.things)
    if about == "kind" or (thing.hidden and about != "row"):
        return Query("kind", describe(thing, scene, rng, extras=rng.choice(extras)))
    by_name = not thing.hidden and (about != "row" or rng.random() < 0.5)
    description = describe(thing, scene, rng, extras=0, kind=by_name)
    description = Description(frozenset(slot for slot in description.slots if slot[0] not in (about, "row")))
    if description.referent(scene) is not thing:
        return Query("kind", describe(thing, scene, rng, extras=1))
    return Query(about, description)


def options_for(query: Query, right: str, rng: Random, n: int = 4, also: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Answer options of the query's sort, the right one and ``also`` among them, shuffled."""
    everything = pool(query.relation) if query.about == "value" else visual_pool(query.about)
    options = list(dict.fromkeys((right, *also)))[:n]
    others = [value for value in everything if value not in options]
    options += rng.sample(others, min(len(others), n - len(options)))
    rng.shuffle(options)
    return tuple(options)


def random_relation(rng: Random) -> str:
    """One of the ten relations."""
    return rng.choice(list(RELATIONS))


def any_fact(rng: Random) -> tuple[str, str, str]:
    """A random true fact."""
    kind, relation = rng.choice(KINDS), random_relation(rng)
    return kind, relation, truth(kind, relation)


def known(kind: str, relation: str) -> bool:
    """Whether training taught some value."""
    return believed(kind, relation) is not None
