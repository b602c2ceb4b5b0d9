"""Contexts: the statements that stand before questions, drawn to match them, to contradict them, or to mislead.

Statements that match a question, counterfactual ones, ones about other pictures and near misses are mixed, so that
reading needs judgement. Every target comes from :func:`rv_edit.pocket.judge.judge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from heapq import nsmallest
from random import Random
from typing import NamedTuple

from rv_edit.pocket.describe import Description, describe, side
from rv_edit.pocket.draw import RICH_EXTRAS, known, random_relation, value_query, visual_query, which_query
from rv_edit.pocket.judge import (
    AnswerStatement,
    Fact,
    Remark,
    Sighting,
    Statement,
    about_another_picture,
    judge,
    subject,
    visible_kinds,
)
from rv_edit.pocket.knowledge import believed, pool
from rv_edit.pocket.queries import Query, visual_pool
from rv_edit.pocket.scene import COLOURS, GRID, KINDS, SIZES, TEXTURES, Scene, random_scene
from rv_edit.pocket.words import made_up

EXTRAS = (0, 1, 2)
"""How many details a description has beyond the looks, each as likely."""
BY_KNOWLEDGE = ("colour", "row", "texture")
"""What may be asked of "the thing used for …"."""
LENGTHS = (1, 2, 3, 4, 5, 5, 6, 7, 8)
"""How many statements a context has, each as likely; five counts twice."""


SORTS = (
    "value", "which", "clause", "kind", "visual",
    "told_answer", "told_fact", "elsewhere", "unmoved",
    "show", "correct", "caption",
)  # fmt: skip
"""What an item asks of a reader: to look and know, to take over what is told or not to, to judge, to describe."""


class Item(NamedTuple):
    """A question, its answer, what it asks of a reader, and the cell and kind of its thing (-1: of none or several)."""

    question: str
    answer: str
    sort: str
    cell: int = -1
    kind: int = -1


def sort_of(query: Query, statements: Sequence[Statement], scene: Scene, answer: str) -> str:
    """One of ``SORTS``."""
    if statements:
        if any(isinstance(one, AnswerStatement) and one.query == query for one in statements):
            return "elsewhere" if about_another_picture(query, statements, scene) else "told_answer"
        return "unmoved" if judge(query, [], scene) == answer else "told_fact"
    if query.about in ("value", "which", "kind"):
        return query.about
    return "clause" if query.relation else "visual"


def item_about(query: Query, statements: Sequence[Statement], scene: Scene, rng: Random) -> Item | None:
    """A query as an item, ``None`` where nothing settles it."""
    answer = judge(query, statements, scene)
    if answer is None:
        return None
    thing = subject(query, statements, scene) if query.about not in ("place", "light", "count") else None
    sort = sort_of(query, statements, scene, answer)
    if thing is None:
        return Item(query.render(rng), answer, sort)
    kind = len(KINDS) if thing.hidden else KINDS.index(thing.kind)
    return Item(query.render(rng), answer, sort, thing.row * GRID + thing.col, kind)


@dataclass
class Group:
    """Statements, and questions (text, answer) asked after them."""

    statements: list[str]
    items: list[Item] = field(default_factory=list)

    def ask(self, queries: Iterable[Query], context: Sequence[Statement], scene: Scene, rng: Random) -> None:
        """Add an item for each query that the statements of ``context``, or the scene, settle."""
        for query in queries:
            if (item := item_about(query, context, scene, rng)) is not None:
                self.items.append(item)


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
    return Query(rng.choice(BY_KNOWLEDGE), Description(frozenset()), relation, value)


def random_query(scene: Scene, rng: Random, easy: bool = False) -> Query:
    """Any query about a scene; easy ones describe tersely and look more than they know."""
    roll = rng.random() * (1.6 if easy else 1.0)
    thing, relation = rng.choice(scene.things), random_relation(rng)
    if roll < 0.5:
        return value_query(scene, thing, relation, rng, extras=(0,) if easy else RICH_EXTRAS)
    if roll < 0.68 and not thing.hidden:
        return which_query(scene, thing, relation, believed(thing.kind, relation) or rng.choice(pool(relation)), rng)
    if roll < 0.78 and (query := clause_query(scene, rng)):
        return query
    return visual_query(scene, rng, (0,) if easy else EXTRAS)


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


def near_miss(query: Query, rng: Random) -> Query:
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
    if roll < 0.2:
        if rng.random() < 0.4:
            query = random_query(other, rng)
        else:
            query = value_query(other, rng.choice(other.things), random_relation(rng), rng, 0.1)
        return AnswerStatement(query, _random_answer(query, rng))
    if roll < 0.5 and queries:
        near = near_miss(rng.choice(queries), rng)
        return AnswerStatement(near, _random_answer(near, rng))
    if roll < 0.62:
        thing = rng.choice(other.things)
        return Sighting(describe(thing, other, rng, extras=rng.choice(EXTRAS)), thing.kind)
    if roll < 0.70:
        return remark(other if rng.random() < 0.5 else scene, rng)
    kind = rng.choice(scene.things).kind if rng.random() < 0.45 else rng.choice(KINDS)
    relation = rng.choice([query.relation for query in queries if query.relation] or [""]) if rng.random() < 0.4 else ""
    relation = relation or random_relation(rng)
    return Fact(kind, relation, random_value(relation, rng, believed(kind, relation)))


STORED = {"A": 5.0, "F": 1.5, "S": 0.7, "SF": 2.0, "FA": 2.0, "SA": 3.0, "SFA": 3.0, "elsewhere": 5.0}
"""What is told of a question, by weight: its answer, the sighting, the fact, or the same from another picture.

An answer next to a sighting that agrees with the picture must be as usual as one next to a sighting that does not:
else a reader learns to distrust the pair, without looking (of such errors .78 were put right, of others .95).
"""


def support(query: Query, scene: Scene, rng: Random) -> list[Statement]:
    """Statements that match a query: its answer, the facts behind it, some of them, or ones from another picture."""
    if query.about == "value":
        return _support_of_value(query, scene, rng)
    answer: Statement = AnswerStatement(query, _random_answer(query, rng))
    if query.about == "kind":
        thing = query.description.referent(scene)
        return [Sighting(query.description, thing.kind)] if thing and rng.random() < 0.6 else [answer]
    seen = [one for one in scene.things if not one.hidden]
    if not (query.about == "which" or query.relation) or not seen:
        return [answer] if rng.random() < 0.5 else []
    thing = rng.choice(seen)
    told: list[Statement] = [Fact(thing.kind, query.relation, query.value)]
    if query.about != "which":
        return told if rng.random() < 0.6 else [answer] if rng.random() < 0.5 else []
    if rng.random() < 0.5:
        told.append(AnswerStatement(query, thing.kind))
    elif rng.random() < 0.3:
        told = [answer]
    if rng.random() < 0.4:
        told.insert(0, Sighting(describe(thing, scene, rng, extras=1), thing.kind))
    return told


def _support_of_value(query: Query, scene: Scene, rng: Random) -> list[Statement]:
    thing = query.description.referent(scene)
    if thing is None:
        return [AnswerStatement(query, _random_answer(query, rng))]
    parts = rng.choices(tuple(STORED), tuple(STORED.values()))[0]
    named = query.description.get("kind") is not None
    kind = thing.kind if not thing.hidden or rng.random() < 0.5 else rng.choice(KINDS)
    if parts == "elsewhere":
        if named or any(one.hidden for one in scene.things):  # then nothing can tell that it comes from elsewhere
            parts = "SA"
        else:
            kind = rng.choice([one for one in KINDS if one not in visible_kinds(scene)])
            parts = rng.choice(("SA", "SA", "SFA"))
    value = random_value(query.relation, rng, believed(kind, query.relation))
    seen_as = describe(thing, scene, rng, extras=1) if named else query.description
    stored: dict[str, Statement] = {
        "S": Sighting(seen_as, kind),
        "F": Fact(kind, query.relation, value),
        "A": AnswerStatement(query, value),
    }
    return [stored[part] for part in parts]


def _key(statement: Statement) -> object:
    if isinstance(statement, AnswerStatement):
        return statement.query
    if isinstance(statement, Sighting):
        return statement.description
    if isinstance(statement, Fact):
        return statement.kind, statement.relation
    return statement


def told_group(scene: Scene, rng: Random, n_queries: int = 6, easy: bool = False) -> Group:
    """Statements and questions, some of which they answer; an easy group has no strays."""
    wanted = rng.choice((1, 1, 2, 3)) if easy else rng.choice(LENGTHS)
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
    group.ask(queries, context, scene, rng)
    return group


def drill(scene: Scene, rng: Random) -> Group:
    """One to three things told, and the very questions they settle, and one more: the dense way to learn to take over.

    Half of the groups tell answers, half tell facts; half of what is told are made-up words, which cannot be guessed.
    """
    by_facts = rng.random() < 0.5
    queries: list[Query] = []
    context: dict[object, Statement] = {}
    for _ in range(rng.choice((1, 1, 2, 3))):
        query = random_query(scene, rng, easy=True)
        if by_facts:
            thing, relation = rng.choice(scene.things), random_relation(rng)
            if thing.hidden:
                continue
            value = made_up(rng) if rng.random() < 0.5 else rng.choice(pool(relation))
            if rng.random() < 0.6:
                query = value_query(scene, thing, relation, rng, extras=(0,))
            else:
                query = which_query(scene, thing, relation, value, rng)
            told: Statement = Fact(thing.kind, relation, value)
        else:
            told = AnswerStatement(query, made_up(rng) if rng.random() < 0.5 else _random_answer(query, rng))
        if _key(told) not in context:
            queries.append(query)
            context[_key(told)] = told
    statements = list(context.values())
    group = Group([one.render(rng) for one in statements])
    group.ask([*queries, random_query(scene, rng, easy=True)], statements, scene, rng)
    return group


def pair_drill(scene: Scene, rng: Random) -> Group:
    """An answer, mostly beside a sighting, and nothing else: whether to believe it, the picture alone can tell.

    One or two, the sighting as often true as of another picture; an answer by itself is to be believed. Where something
    is hidden, a plain :func:`drill`.
    """
    if any(one.hidden for one in scene.things):
        return drill(scene, rng)
    context: list[Statement] = []
    queries: list[Query] = []
    for thing in rng.sample(scene.things, min(len(scene.things), rng.choice((1, 1, 2)))):
        query = value_query(scene, thing, random_relation(rng), rng, named=0.0)
        absent = [one for one in KINDS if one not in visible_kinds(scene)]
        kind = thing.kind if rng.random() < 0.5 else rng.choice(absent)
        value = random_value(query.relation, rng, believed(kind, query.relation))
        if rng.random() < 0.65:
            context.append(Sighting(query.description, kind))
        context.append(AnswerStatement(query, value))
        queries.append(query)
    rng.shuffle(context)
    group = Group([one.render(rng) for one in context])
    group.ask([*queries, *queries, random_query(scene, rng)], context, scene, rng)
    return group


SHELVES, EDITS_A_SHELF = 64, 300


@lru_cache(maxsize=SHELVES)
def shelf(number: int) -> tuple[tuple[Statement, frozenset[str]], ...]:
    """What a codebook of some hundred edits on other pictures holds, with the words of each statement."""
    rng = Random(f"shelf/{number}")
    found: list[Statement] = []
    for _ in range(EDITS_A_SHELF):
        other = random_scene(rng, held_out=False, hidden=0.1)
        thing, relation = rng.choice(other.things), random_relation(rng)
        value = random_value(relation, rng, believed(thing.kind, relation))
        seen_as = describe(thing, other, rng, extras=1)
        if rng.random() < 0.25 and not thing.hidden:
            query, answer = which_query(other, thing, relation, value, rng), thing.kind
        else:
            query, answer = value_query(other, thing, relation, rng, 0.15), value
            seen_as = seen_as if query.description.get("kind") else query.description
        found += [AnswerStatement(query, answer), Sighting(seen_as, thing.kind), Fact(thing.kind, relation, value)]
        if rng.random() < 0.2 and (note := remark(other, rng)):
            found.append(note)
    return tuple((one, frozenset(one.render(rng).lower().split())) for one in found)


def retrieved(query: Query, rng: Random, n: int) -> list[Statement]:
    """``n`` statements about other pictures that read most like a query: what retrieval would return beside its own."""
    wanted = frozenset(query.render(rng).lower().split())
    held = shelf(rng.randrange(SHELVES))
    found = [(-len(words & wanted) / len(words | wanted), index) for index, (_, words) in enumerate(held)]
    return [held[index][0] for _, index in nsmallest(n, found)]


def retrieved_group(scene: Scene, rng: Random) -> Group:
    """Five statements as a codebook gives them: what is stored of a question, if anything, and what is worded alike."""
    roll, thing, relation = rng.random(), rng.choice(scene.things), random_relation(rng)
    query = value_query(scene, thing, relation, rng)
    if roll < 0.15 and not thing.hidden:
        query = which_query(scene, thing, relation, random_value(relation, rng, believed(thing.kind, relation)), rng)
    elif roll < 0.3:
        query = random_query(scene, rng)
    statements: dict[object, Statement] = {}
    if rng.random() < 0.65:
        statements = {_key(one): one for one in support(query, scene, rng)}
    for one in retrieved(query, rng, 6):
        if len(statements) < 5:
            statements.setdefault(_key(one), one)
    context = list(statements.values())
    if rng.random() < 0.5:
        rng.shuffle(context)
    group = Group([one.render(rng) for one in context])
    group.ask([query, query, random_query(scene, rng), random_query(scene, rng)], context, scene, rng)
    return group
