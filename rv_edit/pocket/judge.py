"""The one rule that gives the target of every prompt: the scene and the knowledge, overridden by what matches.

A prompt is a scene, some statements and a query. Statements are

* answers: "The answer to question … about the image is …." — apply to a query that means the same;
* sightings: "The small red thing near the lamp is a mug." — tell the kind of a hidden thing described so;
* facts: "A mug is made of clay." — apply to that kind and relation;
* remarks: true or false things about the scene that answer nothing.

Everything else changes nothing. **A statement about another picture is recognised**: a sighting that names a
kind which is nowhere in the scene, while nothing is hidden, is about another picture, and so is the answer
sentence about the same referent. That is what lets a reader keep its own right answer when the same words
are asked of another picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from rv_edit.pocket.describe import SIDE_WORDS, Description
from rv_edit.pocket.knowledge import believed, kind_believed_to_have
from rv_edit.pocket.queries import COUNTS, LIGHT_NAMES, ROWS, Query
from rv_edit.pocket.scene import Scene, Thing
from rv_edit.pocket.tables import RELATIONS

SIGHTING_FORMS = (
    "{ref} is {a}.",
    "{ref} must be {a}.",
    "You can tell that {ref} is {a}.",
    "In the picture {ref} is {a}.",
)


def with_article(kind: str) -> str:
    """``a mug``, ``an umbrella``."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


@dataclass(frozen=True)
class AnswerStatement:
    """The sentence an edit stores for its question."""

    query: Query
    answer: str

    def render(self, rng: Random) -> str:
        """Word it, question included."""
        return f"The answer to question {self.query.render(rng)} about the image is {self.answer}."


@dataclass(frozen=True)
class Sighting:
    """What a described thing is."""

    description: Description
    kind: str

    def render(self, rng: Random) -> str:
        """Word it."""
        form = rng.choice(SIGHTING_FORMS)
        return _sentence(form.format(ref=self.description.phrase(rng), a=with_article(self.kind)))


@dataclass(frozen=True)
class Fact:
    """A piece of knowledge about a kind."""

    kind: str
    relation: str
    value: str

    def render(self, rng: Random) -> str:
        """Word it."""
        form = rng.choice(RELATIONS[self.relation].fact)
        return _sentence(form.format(a=with_article(self.kind), v=self.value))


@dataclass(frozen=True)
class Remark:
    """Where a named thing stands; answers nothing that eyes would not."""

    description: Description
    other: str
    side: str

    def render(self, rng: Random) -> str:
        """Word it."""
        kind = self.description.get("kind") or "thing"
        verb = rng.choice(("is", "stands", "lies"))
        return _sentence(f"the {kind} {verb} {rng.choice(SIDE_WORDS[self.side])} the {self.other}.")


Statement = AnswerStatement | Sighting | Fact | Remark


def visible_kinds(scene: Scene) -> set[str]:
    """Kinds that can be recognised."""
    return {thing.kind for thing in scene.things if not thing.hidden}


def _elsewhere(sighting: Sighting, scene: Scene) -> bool:
    hidden = any(thing.hidden for thing in scene.things)
    return sighting.kind not in visible_kinds(scene) and not hidden


def about_another_picture(query: Query, statements: Sequence[Statement], scene: Scene) -> bool:
    """Whether a sighting of the query's referent shows that the statements about it come from another picture."""
    return any(
        isinstance(one, Sighting) and one.description == query.description and _elsewhere(one, scene)
        for one in statements
    )


def kind_of(thing: Thing, description: Description, statements: Sequence[Statement]) -> str | None:
    """The kind a reader arrives at: seen, or told of a hidden thing, else ``None``."""
    if not thing.hidden:
        return thing.kind
    told = [one.kind for one in statements if isinstance(one, Sighting) and one.description == description]
    return told[0] if told else None


def value_of(kind: str, relation: str, statements: Sequence[Statement]) -> str | None:
    """A stated value, else the one taught, else ``None``."""
    for one in statements:
        if isinstance(one, Fact) and (one.kind, one.relation) == (kind, relation):
            return one.value
    return believed(kind, relation)


def kind_having(query: Query, statements: Sequence[Statement], scene: Scene) -> str | None:
    """The visible kind that is stated, else believed, to have the query's value."""
    visible = visible_kinds(scene)
    stated = [one for one in statements if isinstance(one, Fact) and one.relation == query.relation]
    for one in stated:
        if one.value == query.value and one.kind in visible:
            return one.kind
    kind = kind_believed_to_have(query.relation, query.value)
    overridden = any(one.kind == kind and one.value != query.value for one in stated)
    return kind if kind in visible and not overridden else None


def subject(query: Query, statements: Sequence[Statement], scene: Scene) -> Thing | None:
    """The thing in the scene that a query speaks of, by its description or by what is known of it."""
    if query.about == "which" or (query.relation and query.about != "value"):
        kind = kind_having(query, statements, scene)
        return next((one for one in scene.things if one.kind == kind and not one.hidden), None)
    return query.description.referent(scene)


def judge(query: Query, statements: Sequence[Statement], scene: Scene) -> str | None:
    """The answer a perfect reader gives, or ``None`` where neither scene, knowledge nor statements settle it."""
    if not about_another_picture(query, statements, scene):
        for one in statements:
            if isinstance(one, AnswerStatement) and one.query == query:
                return one.answer
    if query.about == "place":
        return scene.place
    if query.about == "light":
        return LIGHT_NAMES[scene.light]
    if query.about == "count":
        return COUNTS[len(scene.things) - 1]
    thing = subject(query, statements, scene)
    if thing is None:
        return None
    if query.about == "which":
        return thing.kind
    if query.about == "value":
        kind = kind_of(thing, query.description, statements)
        return value_of(kind, query.relation, statements) if kind else None
    if query.about == "kind":
        return kind_of(thing, query.description, statements)
    if query.about == "row":
        return ROWS[thing.row]
    if thing.hidden:
        return None
    return str(getattr(thing, query.about))
