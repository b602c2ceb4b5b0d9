"""What training tells beside a question is as a codebook tells it, and no pair of statements gives the answer away."""

from __future__ import annotations

from collections import Counter
from random import Random

from rv_edit.pocket.draw import random_relation, value_query
from rv_edit.pocket.judge import AnswerStatement, Fact, Sighting, about_another_picture, judge
from rv_edit.pocket.scene import random_scene
from rv_edit.pocket.training.contexts import retrieved, retrieved_group, shelf, support


def test_an_answer_beside_a_sighting_is_as_often_about_this_picture_as_about_another() -> None:
    """Else a reader could go by the pair alone, without looking."""
    found: Counter[bool] = Counter()
    for index in range(1500):
        rng = Random(index)
        scene = random_scene(rng)
        query = value_query(scene, rng.choice(scene.things), random_relation(rng), rng, named=0.0)
        told = support(query, scene, rng)
        if {type(one) for one in told} == {AnswerStatement, Sighting}:
            found[about_another_picture(query, told, scene)] += 1
    assert 0.4 < found[True] / found.total() < 0.6


def test_what_is_told_of_a_visible_thing_holds_together() -> None:
    """The answer sentence states the value of the fact beside it, as an edit's does."""
    pairs = 0
    for index in range(600):
        rng = Random(index)
        scene = random_scene(rng)
        told = support(value_query(scene, rng.choice(scene.things), random_relation(rng), rng, named=0.0), scene, rng)
        answers = [one.answer for one in told if isinstance(one, AnswerStatement)]
        values = [one.value for one in told if isinstance(one, Fact)]
        if answers and values:
            pairs += 1
            assert answers == values
    assert pairs > 50


def test_strays_are_the_nearest_of_a_shelf_and_change_nothing_else() -> None:
    rng = Random(1)
    scene = random_scene(rng)
    query = value_query(scene, scene.things[0], "material", rng)
    worded = query.render(Random(1))
    strays = retrieved(query, Random(1), 5)
    again = Random(1)
    assert worded == query.render(again)
    held = shelf(again.randrange(64))
    wanted = set(worded.lower().split())
    jaccard = {id(one): len(words & wanted) / len(words | wanted) for one, words in held}
    assert [jaccard[id(one)] for one in strays] == sorted(jaccard.values(), reverse=True)[:5]
    assert judge(query, [one for one in strays if not isinstance(one, Fact)], scene) == judge(query, [], scene)


def test_a_codebooks_context_has_five_statements() -> None:
    for index in range(60):
        rng = Random(index)
        group = retrieved_group(random_scene(rng), rng)
        assert len(group.statements) == 5 == len(set(group.statements))
