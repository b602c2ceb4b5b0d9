"""Questions of pocket A-OKVQA and pocket FVQA: scene, query, options, and the reasoning behind the answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from rv_edit.pocket.compose import true_answer
from rv_edit.pocket.describe import SIDE_WORDS, Description, describe, side
from rv_edit.pocket.draw import options_for, value_query, which_query
from rv_edit.pocket.judge import Fact, Remark, Sighting, Statement
from rv_edit.pocket.knowledge import split as split_of
from rv_edit.pocket.knowledge import truth, value_choices
from rv_edit.pocket.queries import Query
from rv_edit.pocket.scene import Scene, Thing, random_scene
from rv_edit.pocket.tables import RELATIONS

HIDDEN_SHARE = 0.12
WHICH_SHARE, NAMED_SHARE, REMARK_SHARE = 0.55, 0.4, 0.5


@dataclass(frozen=True)
class PocketQuestion:
    """A question with everything its suites are made from; ``reasoning`` in the order of a record's sentences."""

    scene: Scene
    query: Query
    thing: Thing
    relation: str
    text: str
    choices: tuple[str, ...]
    answer: str
    reasoning: tuple[Statement, ...]
    sentences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """What :func:`restored` needs beside the record's own fields."""
        asked = self.query
        return {
            "scene": asdict(self.scene),
            "query": {"about": asked.about, "value": asked.value, "slots": sorted(asked.description.slots)},
            "relation": self.relation,
            "thing": self.scene.things.index(self.thing),
            "sighting": sorted(next(one.description.slots for one in self.reasoning if isinstance(one, Sighting))),
            "remark": next(([one.side, one.other] for one in self.reasoning if isinstance(one, Remark)), None),
        }


def _description(slots: list[list[str]]) -> Description:
    return Description(frozenset((name, value) for name, value in slots))


def restored(
    data: dict[str, Any], text: str, choices: tuple[str, ...], answer: str, sentences: tuple[str, ...]
) -> PocketQuestion:
    """The question that ``to_json`` and a record's fields describe."""
    scene = Scene(
        tuple(Thing(**one) for one in data["scene"]["things"]),
        data["scene"]["place"],
        data["scene"]["light"],
        data["scene"]["seed"],
    )
    thing, relation = scene.things[data["thing"]], data["relation"]
    asked = data["query"]
    query = Query(asked["about"], _description(asked["slots"]), relation, asked["value"])
    reasoning = _reasoning(thing, relation, _description(data["sighting"]), data["remark"])
    return PocketQuestion(scene, query, thing, relation, text, choices, answer, reasoning, sentences)


def _reasoning(thing: Thing, relation: str, seen_as: Description, remark: list[str] | None) -> tuple[Statement, ...]:
    facts: list[Statement] = [Sighting(seen_as, thing.kind), Fact(thing.kind, relation, truth(thing.kind, relation))]
    if remark:
        facts.append(Remark(Description(frozenset({("kind", thing.kind)})), remark[1], remark[0]))
    return tuple(facts)


def make_question(dataset: str, split: str, index: int) -> PocketQuestion:
    """Question ``index`` of ``aokvqa`` or ``fvqa``; it depends on its arguments alone.

    The facts of ``tune`` and ``test`` questions are disjoint, and so are their scenes.
    """
    rng = Random(f"pocket/{dataset}/{split}/{index}")
    while True:
        scene = random_scene(rng, held_out=True, hidden=HIDDEN_SHARE)
        thing, relation = rng.choice(scene.things), rng.choice(list(RELATIONS))
        if split_of(thing.kind, relation) == split:
            break
    which = dataset == "fvqa" and not thing.hidden and rng.random() < WHICH_SHARE
    right = truth(thing.kind, relation)
    if which:
        query = which_query(scene, thing, relation, right, rng)
        others = [one.kind for one in scene.things if one is not thing and not one.hidden]
        choices = options_for(query, thing.kind, rng, also=tuple(others))
        answer, seen_as = thing.kind, describe(thing, scene, rng, extras=1)
    else:
        query = value_query(scene, thing, relation, rng, named=NAMED_SHARE if dataset == "fvqa" else 0.0)
        choices, answer = value_choices(thing.kind, relation, rng), right
        seen_as = describe(thing, scene, rng, extras=1) if query.description.get("kind") else query.description
    assert true_answer(query, scene) == answer
    reasoning = _reasoning(thing, relation, seen_as, _neighbour(thing, scene, rng) if dataset == "aokvqa" else None)
    sentences = tuple(one.render(rng) for one in reasoning)
    return PocketQuestion(scene, query, thing, relation, query.render(rng), choices, answer, reasoning, sentences)


def _neighbour(thing: Thing, scene: Scene, rng: Random) -> list[str] | None:
    """``[side, other kind]`` for a remark, in half of the cases where there is a neighbour to speak of."""
    seen = [other for other in scene.things if other is not thing and not other.hidden]
    near = [(where, other.kind) for other in seen if (where := side(thing, other))]
    if not near or thing.hidden or rng.random() >= REMARK_SHARE:
        return None
    where, kind = rng.choice(near)
    assert where in SIDE_WORDS
    return [where, kind]
