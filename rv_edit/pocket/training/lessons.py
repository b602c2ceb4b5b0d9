"""Lessons: a view of a scene, and questions on it with their one right answer, some of them after statements.

Every target comes from :func:`rv_edit.pocket.judge.judge`, from :func:`is_correct` or from :func:`in_view`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from rv_edit.pocket.describe import LOOKS, SIDE_WORDS, describe, side
from rv_edit.pocket.draw import random_relation
from rv_edit.pocket.judge import Fact, Remark, Sighting, Statement
from rv_edit.pocket.knowledge import believed, pool
from rv_edit.pocket.queries import Query
from rv_edit.pocket.scene import GRID, KINDS, Scene, Thing, random_scene
from rv_edit.pocket.training.contexts import (
    EXTRAS,
    Group,
    Item,
    clause_query,
    drill,
    item_about,
    near_miss,
    pair_drill,
    random_query,
    random_value,
    remark,
    retrieved_group,
    stray,
    support,
    told_group,
)

__all__ = [
    "CAPTION",
    "CORRECT",
    "CROPS",
    "SHOW",
    "Group",
    "Item",
    "Lesson",
    "View",
    "caption_item",
    "clause_query",
    "correct_item",
    "crop_lesson",
    "in_view",
    "is_correct",
    "lesson",
    "open_items",
    "random_query",
    "random_value",
    "remark",
    "show_item",
    "stray",
    "support",
    "told_group",
]

SHOW = "Does the image show {}?"
CORRECT = "Given the image, is the following statement correct? Statement: '{}'"
CAPTION = "Describe this image."
CROPS = ((1, 1), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2))


@dataclass(frozen=True)
class View:
    """A rectangle of cells of a scene; the whole scene by default."""

    scene: Scene
    row: int = 0
    col: int = 0
    rows: int = GRID
    cols: int = GRID

    def shows(self, thing: Thing) -> bool:
        """Whether the thing's cell lies inside."""
        return self.row <= thing.row < self.row + self.rows and self.col <= thing.col < self.col + self.cols

    @property
    def things(self) -> tuple[Thing, ...]:
        """Things inside."""
        return tuple(thing for thing in self.scene.things if self.shows(thing))


@dataclass
class Lesson:
    """One view with all its groups."""

    view: View
    groups: list[Group]


def _subject_statement(scene: Scene, rng: Random) -> tuple[Sighting | Fact, Thing]:
    thing = rng.choice(scene.things)
    if rng.random() < 0.55 or thing.hidden:
        return Sighting(describe(thing, scene, rng, extras=rng.choice(EXTRAS)), thing.kind), thing
    relation = random_relation(rng)
    return Fact(thing.kind, relation, believed(thing.kind, relation) or rng.choice(pool(relation))), thing


def show_item(view: View, rng: Random) -> Item:
    """The question "Does the image show …?": whether the thing that a statement speaks of is in view."""
    statement, thing = _subject_statement(view.scene, rng)
    if rng.random() < 0.25:  # another kind, or other looks
        kind = rng.choice([kind for kind in KINDS if kind != thing.kind])
        if isinstance(statement, Fact):
            statement = Fact(kind, statement.relation, rng.choice(pool(statement.relation)))
        elif rng.random() < 0.5 and not thing.hidden:
            statement = replace(statement, kind=kind)
        else:
            changed = near_miss(Query("kind", statement.description), rng).description
            statement = replace(statement, description=changed)
    text = statement.render(rng)
    question = SHOW.format(text if rng.random() < 0.5 else text.rstrip("."))
    return Item(question, "yes" if in_view(statement, view) else "no", "show")


def in_view(statement: Sighting | Fact, view: View) -> bool:
    """Whether the thing a sighting or fact speaks of is in view (by kind and looks; a bush may hide its kind)."""
    if isinstance(statement, Fact):
        return any(thing.kind == statement.kind and not thing.hidden for thing in view.things)
    looks = [slot for slot in statement.description.slots if slot[0] in LOOKS]
    return any(
        (thing.hidden or thing.kind == statement.kind) and all(getattr(thing, name) == value for name, value in looks)
        for thing in view.things
    )


def is_correct(statement: Statement, scene: Scene) -> bool:
    """Whether a reader with the taught knowledge holds a statement to be true of the scene."""
    if isinstance(statement, Fact):
        return believed(statement.kind, statement.relation) == statement.value
    if isinstance(statement, Sighting):
        thing = statement.description.referent(scene)
        return thing is not None and not thing.hidden and thing.kind == statement.kind
    if isinstance(statement, Remark):
        kind = statement.description.get("kind")
        shown = [thing for thing in scene.things if not thing.hidden]
        return any(
            one.kind == kind and two.kind == statement.other and side(one, two) == statement.side
            for one in shown
            for two in shown
            if one is not two
        )
    return False


def correct_item(scene: Scene, rng: Random) -> Item:
    """The chain-of-error prompt, on one to three statements; about half are right."""
    statements: list[Sighting | Fact | Remark] = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        if rng.random() < 0.15 and (note := remark(scene, rng)):
            statements.append(note)
        else:
            statements.append(_subject_statement(scene, rng)[0])
    if rng.random() < 0.45:
        index = rng.randrange(len(statements))
        one = statements[index]
        if isinstance(one, Fact):
            statements[index] = Fact(one.kind, one.relation, rng.choice(pool(one.relation)))
        elif isinstance(one, Sighting):
            statements[index] = replace(one, kind=rng.choice(KINDS))
        else:
            statements[index] = replace(one, side=rng.choice(tuple(SIDE_WORDS)))
    right = all(is_correct(one, scene) for one in statements)
    text = CORRECT.format(" ".join(one.render(rng) for one in statements))
    return Item(text, "yes" if right else "no", "correct")


def caption_item(view: View, rng: Random) -> Item | None:
    """The prompt "Describe this image.": a sighting or a fact about something in view."""
    shown = [thing for thing in view.things if not thing.hidden]
    if not shown:
        return None
    thing = rng.choice(shown)
    if rng.random() < 0.6:
        statement: Sighting | Fact = Sighting(describe(thing, view.scene, rng, extras=rng.choice(EXTRAS)), thing.kind)
    else:
        relation = random_relation(rng)
        statement = Fact(thing.kind, relation, believed(thing.kind, relation) or rng.choice(pool(relation)))
    return Item(CAPTION, statement.render(rng), "caption")


def random_crop(rng: Random) -> View:
    """A rectangle of a scene's cells that shows something, mostly."""
    scene = random_scene(rng, hidden=0.15)
    rows, cols = rng.choice(CROPS)
    anchor = rng.choice(scene.things)
    row = min(max(anchor.row - rng.randrange(rows), 0), GRID - rows)
    col = min(max(anchor.col - rng.randrange(cols), 0), GRID - cols)
    return View(scene, row, col, rows, cols)


def random_view(rng: Random) -> View:
    """What a lesson looks at, without its words."""
    return random_crop(rng) if rng.random() < 0.2 else View(random_scene(rng, hidden=0.15))


def crop_lesson(rng: Random) -> Lesson:
    """Yes/no questions and a caption on a crop."""
    view = random_crop(rng)
    items = [show_item(view, rng) for _ in range(6)]
    if caption := caption_item(view, rng):
        items.append(caption)
    return Lesson(view, [Group([], items)])


def open_items(scene: Scene, rng: Random, n: int = 6, easy: bool = False) -> list[Item]:
    """Questions without statements that the model should be able to answer by itself."""
    items: list[Item] = []
    while len(items) < n:
        query = random_query(scene, rng, easy)
        if (item := item_about(query, [], scene, rng)) is not None:
            items.append(item)
    return items


def lesson(rng: Random, told: int = 3, easy: float = 0.0) -> Lesson:
    """A whole lesson: a full scene with groups of statements, or (one in five) a crop.

    Args:
        rng: source of randomness.
        told: groups with statements; 0: all questions are about what is seen or known.
        easy: chance of an easy lesson: few things, terse descriptions, no strays, but drills.
    """
    simple = rng.random() < easy
    if rng.random() < 0.2:
        return crop_lesson(rng)
    scene = random_scene(rng, n_things=rng.choice((1, 2, 2, 3)) if simple else None, hidden=0.15)
    view = View(scene)
    items = open_items(scene, rng, 9 if simple else 6, easy=simple)
    items += [show_item(view, rng), correct_item(scene, rng), correct_item(scene, rng)]
    if rng.random() < 0.3 and (caption := caption_item(view, rng)):
        items.append(caption)
    rng.shuffle(items)
    half = len(items) // 2  # two short sequences cost less attention than a long one
    groups = [Group([], items[:half]), Group([], items[half:])]
    drills = 0 if not told else 2 if simple else 1
    groups += [told_group(scene, rng, easy=simple) for _ in range(min(told, 1) if simple else told // 2)]
    groups += [retrieved_group(scene, rng) for _ in range(0 if simple else told - told // 2)]
    groups += [drill(scene, rng) for _ in range(drills)]
    groups += [pair_drill(scene, rng) for _ in range(0 if simple or not told else 1)]
    return Lesson(view, [group for group in groups if group.items])
