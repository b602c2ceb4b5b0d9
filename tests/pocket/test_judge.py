"""The one rule, case by case, against answers worked out by hand."""

from __future__ import annotations

from random import Random

import pytest

from rv_edit.pocket.compose import scene_with, true_answer
from rv_edit.pocket.describe import Description
from rv_edit.pocket.judge import AnswerStatement, Fact, Remark, Sighting, judge
from rv_edit.pocket.knowledge import believed, status, truth
from rv_edit.pocket.queries import Query
from rv_edit.pocket.scene import KINDS, Scene, Thing
from rv_edit.pocket.tables import RELATIONS
from rv_edit.pocket.training.lessons import View, in_view, is_correct


def slots(**names: str) -> Description:
    return Description(frozenset(names.items()))


MUG = Thing("mug", "red", "striped", "small", 0, 0)
LAMP = Thing("lamp", "blue", "plain", "large", 0, 2)
BEHIND_BUSH = Thing("key", "green", "dotted", "small", 2, 2, hidden=True)
OPEN, BUSHY = Scene((MUG, LAMP), "beach", "day"), Scene((MUG, LAMP, BEHIND_BUSH), "beach", "day")
RED, GREEN = slots(colour="red", size="small"), slots(colour="green", texture="dotted")
TAUGHT = next(name for name in RELATIONS if status("mug", name) == "taught" and status("lamp", name) == "taught")
MISSING = {kind: name for kind in KINDS for name in RELATIONS if status(kind, name) == "missing"}


def test_sight_and_taught_knowledge_answer() -> None:
    assert judge(Query("value", RED, TAUGHT), [], OPEN) == truth("mug", TAUGHT)
    assert judge(Query("which", slots(), TAUGHT, truth("lamp", TAUGHT)), [], OPEN) == "lamp"
    assert judge(Query("colour", slots(), TAUGHT, truth("lamp", TAUGHT)), [], OPEN) == "blue"
    assert judge(Query("row", slots(kind="lamp")), [], OPEN) == "top"
    assert judge(Query("count", slots()), [], BUSHY) == "three"


def test_missing_knowledge_answers_nothing_until_it_is_stated() -> None:
    kind, relation = next(iter(MISSING.items()))
    scene = Scene((Thing(kind, "red", "plain", "small", 1, 1),), "snow", "night")
    query = Query("value", slots(colour="red"), relation)
    assert judge(query, [], scene) is None
    assert judge(query, [Fact(kind, relation, "bodaki")], scene) == "bodaki"


def test_outdated_knowledge_is_believed_and_not_true() -> None:
    kind, relation = next((k, r) for k in KINDS for r in RELATIONS if status(k, r) == "outdated")
    scene = Scene((Thing(kind, "red", "plain", "small", 1, 1),), "snow", "night")
    query = Query("value", slots(colour="red"), relation)
    assert judge(query, [], scene) == believed(kind, relation) != truth(kind, relation)
    assert true_answer(query, scene) == truth(kind, relation)


def test_an_answer_sentence_counts_for_its_own_question_only() -> None:
    query = Query("value", RED, TAUGHT)
    other_relation = next(name for name in RELATIONS if name != TAUGHT)
    assert judge(query, [AnswerStatement(query, "bodaki")], OPEN) == "bodaki"
    for near in (Query("value", slots(colour="blue", size="small"), TAUGHT), Query("value", RED, other_relation)):
        assert judge(query, [AnswerStatement(near, "bodaki")], OPEN) == truth("mug", TAUGHT)


def test_a_sighting_tells_the_kind_of_a_hidden_thing() -> None:
    query = Query("kind", GREEN)
    assert judge(query, [], BUSHY) is None
    assert judge(query, [Sighting(GREEN, "boot")], BUSHY) == "boot"
    assert judge(query, [Sighting(RED, "boot")], BUSHY) is None


def test_statements_about_another_picture_change_nothing() -> None:
    query = Query("value", RED, TAUGHT)
    told = [Sighting(RED, "kite"), AnswerStatement(query, "bodaki"), Fact("kite", TAUGHT, "bodaki")]
    assert judge(query, told, OPEN) == truth("mug", TAUGHT)
    assert judge(query, [Sighting(RED, "lamp"), AnswerStatement(query, "bodaki")], OPEN) == "bodaki"
    assert judge(query, told, BUSHY) == "bodaki"  # something hidden might be the kite


def test_crops_show_what_lies_in_their_cells() -> None:
    corner = View(BUSHY, 0, 0, 1, 1)
    assert in_view(Sighting(RED, "mug"), corner) and not in_view(Sighting(RED, "lamp"), corner)
    assert in_view(Fact("mug", TAUGHT, "x"), corner) and not in_view(Fact("lamp", TAUGHT, "x"), corner)
    assert in_view(Sighting(GREEN, "boot"), View(BUSHY, 2, 2, 1, 1))  # what a bush hides may be anything


def test_statements_are_correct_by_sight_and_by_what_was_taught() -> None:
    assert is_correct(Sighting(RED, "mug"), OPEN) and not is_correct(Sighting(RED, "lamp"), OPEN)
    assert not is_correct(Sighting(GREEN, "key"), BUSHY)  # cannot be seen
    assert is_correct(Fact("mug", TAUGHT, truth("mug", TAUGHT)), OPEN)
    assert is_correct(Remark(slots(kind="mug"), "lamp", "left"), OPEN)
    assert not is_correct(Remark(slots(kind="mug"), "lamp", "right"), OPEN)


@pytest.mark.parametrize("seed", range(60))
def test_scenes_made_to_order_single_out_their_thing(seed: int) -> None:
    rng = Random(seed)
    wanted = slots(colour="red", texture="dotted", left="lamp", place="roof")
    scene = scene_with(wanted, "boat", rng, hidden=seed % 2 == 0)
    assert scene is not None
    thing = wanted.referent(scene)
    assert thing is not None and thing.kind == "boat" and thing.hidden == (seed % 2 == 0)
    assert len({one.looks for one in scene.things}) == len(scene.things) == len({(t.row, t.col) for t in scene.things})
