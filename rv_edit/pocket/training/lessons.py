"""Lessons: a view of a scene, a few contexts of statements, and questions with their one right answer.

Every target comes from :func:`rv_edit.pocket.judge.judge`. Contexts mix statements that match a question,
counterfactual ones, ones about other pictures, and near misses, so that reading needs judgement.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from rv_edit.pocket.describe import Description, describe, side
from rv_edit.pocket.draw import known, random_relation, value_query, visual_query, which_query
from rv_edit.pocket.judge import AnswerStatement, Fact, Remark, Sighting, Statement, judge, visible_kinds
from rv_edit.pocket.knowledge import believed, pool
from rv_edit.pocket.queries import Query, visual_pool
from rv_edit.pocket.scene import COLOURS, GRID, KINDS, SIZES, TEXTURES, Scene, Thing, random_scene
from rv_edit.pocket.words import made_up

SHOW, CORRECT, CAPTION = "Does the image show {}?", "Given the image, is the following statement correct? Statement: '{}'", "Describe this image."
CROPS = ((1, 1), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2))
MAX_STATEMENTS = 8


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
class Group:
    """Statements, and questions (text, answer) asked after them."""

    statements: list[str]
    items: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Lesson:
    """One view with all its groups."""

    view: View
    groups: list[Group]


def random_value(query_relation: str, rng: Random, honest: str | None = None) -> str:
    """A value to state: the believed one, any of the relation, or a made-up word."""
    roll = rng.random()
    if honest is not None and roll < 0.3:
        return honest
    return rng.choice(pool(query_relation)) if roll < 0.7 else made_up(rng)


def _random_answer(query: Query, rng: Random) -> str:
    if rng.random() < 0.3:
        return made_up(rng)
    return rng.choice(pool(query.relation) if query.about == "value" else visual_pool(query.about))


def clause_query(scene: Scene, rng: Random) -> Query | None:
    """Ask for the colour or row of "the thing used for …"."""
    seen = [thing for thing in scene.things if not thing.hidden]
    if not seen:
        return None
    thing, relation = rng.choice(seen), random_relation(rng)
    value = believed(thing.kind, relation) or rng.choice(pool(relation))
    return Query(rng.choice(("colour", "row", "texture")), Description(frozenset()), relation, value)


def random_query(scene: Scene, rng: Random, easy: bool = False) -> Query:
    """Any query about a scene; easy ones describe tersely and look more than they know."""
    roll = rng.random() * (1.6 if easy else 1.0)
    thing, relation = rng.choice(scene.things), random_relation(rng)
    if roll < 0.5:
        return value_query(scene, thing, relation, rng, extras=(0,) if easy else (1, 2, 2))
    if roll < 0.68 and not thing.hidden:
        return which_query(scene, thing, relation, believed(thing.kind, relation) or rng.choice(pool(relation)), rng)
    if roll < 0.78 and (query := clause_query(scene, rng)):
        return query
    return visual_query(scene, rng, (0,) if easy else (0, 1, 2))


def remark(scene: Scene, rng: Random) -> Remark | None:
    """A true remark about two visible things."""
    pairs = [
        (one, two, where)
        for one in scene.things
        for two in scene.things
        if one is not two and not one.hidden and not two.hidden and (where := side(one, two))
    ]
    if not pairs:
        return None
    one, two, where = rng.choice(pairs)
    return Remark(Description(frozenset({("kind", one.kind)})), two.kind, where)


def _near_miss(query: Query, rng: Random) -> Query:
    """The same words but for one: another relation, or one slot of the description changed."""
    if query.about == "value" and rng.random() < 0.4:
        return replace(query, relation=rng.choice([random_relation(rng) for _ in range(3)]))
    slots = dict(sorted(query.description.slots))  # sorted: sets have no order that lasts
    pools = {"colour": COLOURS, "texture": TEXTURES, "size": SIZES, "kind": KINDS}
    changeable = [name for name in slots if name in pools]
    if changeable:
        name = rng.choice(changeable)
        slots[name] = rng.choice([value for value in pools[name] if value != slots[name]])
    elif query.value:
        return replace(query, value=rng.choice(pool(query.relation)))
    return replace(query, description=Description(frozenset(slots.items())))


def stray(scene: Scene, queries: list[Query], rng: Random) -> Statement | None:
    """A statement that most likely matches nothing: from another picture, or a near miss."""
    roll = rng.random()
    other = random_scene(rng, held_out=False, hidden=0.1)
    if roll < 0.25:
        query = random_query(other, rng) if rng.random() < 0.4 else value_query(other, rng.choice(other.things), random_relation(rng), rng, 0.1)
        return AnswerStatement(query, _random_answer(query, rng))
    if roll < 0.45 and queries:
        near = _near_miss(rng.choice(queries), rng)
        return AnswerStatement(near, _random_answer(near, rng))
    if roll < 0.60:
        thing = rng.choice(other.things)
        return Sighting(describe(thing, other, rng, extras=rng.choice((0, 1, 2))), thing.kind)
    if roll < 0.70:
        return remark(other if rng.random() < 0.5 else scene, rng)
    kind = rng.choice(scene.things).kind if rng.random() < 0.45 else rng.choice(KINDS)
    relation = rng.choice([query.relation for query in queries if query.relation] or [""]) if rng.random() < 0.4 else ""
    relation = relation or random_relation(rng)
    return Fact(kind, relation, random_value(relation, rng, believed(kind, relation)))


def support(query: Query, scene: Scene, rng: Random) -> list[Statement]:
    """Statements that match a query: its answer, the facts behind it, both, or ones from another picture."""
    answer: Statement = AnswerStatement(query, _random_answer(query, rng))
    if query.about not in ("value", "which") and not (query.about == "kind"):
        return [answer] if rng.random() < 0.5 else []
    if query.about == "kind":
        thing = query.description.referent(scene)
        return [Sighting(query.description, thing.kind)] if thing and rng.random() < 0.6 else [answer]
    if query.about == "which":
        thing = next((one for one in scene.things if not one.hidden), None)
        if thing is None or rng.random() < 0.35:
            return [answer]
        return [Fact(rng.choice(sorted(visible_kinds(scene))), query.relation, query.value)]
    thing = query.description.referent(scene)
    if thing is None:
        return [answer]
    value = random_value(query.relation, rng, believed(thing.kind, query.relation))
    kind = thing.kind if not thing.hidden or rng.random() < 0.5 else rng.choice(KINDS)
    facts: list[Statement] = [Sighting(query.description, kind), Fact(kind, query.relation, value)]
    mode = rng.choices(("answer", "fact", "facts", "all", "sighting", "elsewhere"), (3, 2, 2.5, 3, 1, 1.6))[0]
    if mode == "elsewhere" and not any(one.hidden for one in scene.things):
        absent = rng.choice([one for one in KINDS if one not in visible_kinds(scene)])
        value = random_value(query.relation, rng, believed(absent, query.relation))
        told: list[Statement] = [Sighting(query.description, absent), AnswerStatement(query, value)]
        return told + ([Fact(absent, query.relation, value)] if rng.random() < 0.5 else [])
    if mode == "answer":
        return [answer]
    if mode == "fact":
        return facts[1:]
    if mode == "sighting":
        return facts[:1]
    return facts if mode == "facts" else [*facts, AnswerStatement(query, value)]


def _key(statement: Statement) -> object:
    if isinstance(statement, AnswerStatement):
        return statement.query
    if isinstance(statement, Sighting):
        return statement.description
    if isinstance(statement, Fact):
        return statement.kind, statement.relation
    return statement


def told_group(scene: Scene, rng: Random, n_queries: int = 3, easy: bool = False) -> Group:
    """Statements and questions, some of which they answer; an easy group has no strays."""
    wanted = 3 if easy else rng.choice((1, 2, 3, 4, 5, 5, 6, 7, 8))
    queries: list[Query] = []
    statements: dict[object, Statement] = {}
    for _ in range(n_queries):
        query = random_query(scene, rng, easy)
        if query.about == "value" and not easy and rng.random() < 0.5:  # prefer what needs telling
            for _ in range(4):
                thing = query.description.referent(scene)
                if thing is None or thing.hidden or not known(thing.kind, query.relation):
                    break
                query = value_query(scene, rng.choice(scene.things), random_relation(rng), rng)
        queries.append(query)
        room = wanted - len(statements)
        if room > 0 and rng.random() < 0.7:
            new = support(query, scene, rng)
            if len(new) <= room and not any(_key(one) in statements for one in new):
                statements |= {_key(one): one for one in new}
    tries = 30 if easy else 0
    while len(statements) < wanted and (tries := tries + 1) < 30:
        if one := stray(scene, queries, rng):
            statements.setdefault(_key(one), one)
    context = list(statements.values())
    rng.shuffle(context)
    group = Group([one.render(rng) for one in context])
    for query in queries:
        if (target := judge(query, context, scene)) is not None:
            group.items.append((query.render(rng), target))
    return group


def _subject_statement(scene: Scene, rng: Random) -> tuple[Statement, Thing]:
    thing = rng.choice(scene.things)
    if rng.random() < 0.55 or thing.hidden:
        return Sighting(describe(thing, scene, rng, extras=rng.choice((0, 1, 2))), thing.kind), thing
    relation = random_relation(rng)
    return Fact(thing.kind, relation, believed(thing.kind, relation) or rng.choice(pool(relation))), thing


def show_item(view: View, rng: Random) -> tuple[str, str]:
    """"Does the image show …?": whether the thing that a statement speaks of is in view."""
    statement, thing = _subject_statement(view.scene, rng)
    if rng.random() < 0.25:  # another kind, or other looks
        kind = rng.choice([kind for kind in KINDS if kind != thing.kind])
        if isinstance(statement, Fact):
            statement = Fact(kind, statement.relation, rng.choice(pool(statement.relation)))
        elif rng.random() < 0.5 and not thing.hidden:
            statement = replace(statement, kind=kind)  # type: ignore[type-var]
        else:
            changed = _near_miss(Query("kind", statement.description), rng).description  # type: ignore[union-attr]
            statement = replace(statement, description=changed)  # type: ignore[type-var]
    text = statement.render(rng)
    return SHOW.format(text if rng.random() < 0.5 else text.rstrip(".")), "yes" if in_view(statement, view) else "no"


def in_view(statement: Statement, view: View) -> bool:
    """Whether the thing a sighting or fact speaks of is in view (by kind and looks; a bush may hide its kind)."""
    if isinstance(statement, Fact):
        return any(thing.kind == statement.kind and not thing.hidden for thing in view.things)
    assert isinstance(statement, Sighting)
    looks = [slot for slot in statement.description.slots if slot[0] in ("colour", "texture", "size")]
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


def correct_item(scene: Scene, rng: Random) -> tuple[str, str]:
    """The chain-of-error prompt, on one to three statements; about half are right."""
    statements: list[Statement] = []
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
            statements[index] = replace(one, side=rng.choice(("left", "right", "above", "below", "near")))
    right = all(is_correct(one, scene) for one in statements)
    return CORRECT.format(" ".join(one.render(rng) for one in statements)), "yes" if right else "no"


def caption_item(view: View, rng: Random) -> tuple[str, str] | None:
    """"Describe this image.": a sighting or a fact about something in view."""
    shown = [thing for thing in view.things if not thing.hidden]
    if not shown:
        return None
    thing = rng.choice(shown)
    if rng.random() < 0.6:
        statement: Statement = Sighting(describe(thing, view.scene, rng, extras=rng.choice((0, 1, 2))), thing.kind)
    else:
        relation = random_relation(rng)
        statement = Fact(thing.kind, relation, believed(thing.kind, relation) or rng.choice(pool(relation)))
    return CAPTION, statement.render(rng)


def crop_lesson(rng: Random) -> Lesson:
    """Yes/no questions and a caption on a crop."""
    scene = random_scene(rng, hidden=0.15)
    rows, cols = rng.choice(CROPS)
    anchor = rng.choice(scene.things)  # crops that show something, mostly
    row = min(max(anchor.row - rng.randrange(rows), 0), GRID - rows)
    col = min(max(anchor.col - rng.randrange(cols), 0), GRID - cols)
    view = View(scene, row, col, rows, cols)
    items = [show_item(view, rng) for _ in range(6)]
    if caption := caption_item(view, rng):
        items.append(caption)
    return Lesson(view, [Group([], items)])


def open_items(scene: Scene, rng: Random, n: int = 5, easy: bool = False) -> list[tuple[str, str]]:
    """Questions without statements that the model should be able to answer by itself."""
    items: list[tuple[str, str]] = []
    while len(items) < n:
        query = random_query(scene, rng, easy)
        if (target := judge(query, [], scene)) is not None:
            items.append((query.render(rng), target))
    return items


def lesson(rng: Random, told: int = 2, easy: float = 0.0) -> Lesson:
    """A whole lesson: a full scene with ``told`` groups of statements, or (one in five) a crop.

    Args:
        rng: source of randomness.
        told: groups with statements.
        easy: chance of an easy lesson: few things, terse descriptions, no strays.
    """
    simple = rng.random() < easy
    if rng.random() < 0.2:
        return crop_lesson(rng)
    scene = random_scene(rng, n_things=rng.choice((1, 2, 2, 3)) if simple else None, hidden=0.15)
    view = View(scene)
    items = open_items(scene, rng, easy=simple)
    items += [show_item(view, rng), correct_item(scene, rng), correct_item(scene, rng)]
    if rng.random() < 0.3 and (caption := caption_item(view, rng)):
        items.append(caption)
    rng.shuffle(items)
    half = len(items) // 2  # two short sequences cost less attention than a long one
    groups = [Group([], items[:half]), Group([], items[half:]), *(told_group(scene, rng, easy=simple) for _ in range(told))]
    return Lesson(view, [group for group in groups if group.items])


