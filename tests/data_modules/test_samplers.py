"""Samplers: nothing twice, nothing missing, pictures together, ranks in step."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from data_modules.records import Edit, ImageRef, Question
from data_modules.samplers import ImageBatches, StreamSampler, draw_probe


def questions(keys: list[int]) -> list[Question]:
    return [Question(str(place), ImageRef(sha=str(key)), "?", ("a", "b"), 0) for place, key in enumerate(keys)]


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 7), st.integers(1, 4))
def test_every_question_once_on_one_rank(keys: list[int], batch_size: int, world: int) -> None:
    asked = questions(keys)
    plans = [list(ImageBatches(asked, batch_size, rank, world)) for rank in range(world)]
    assert len({len(plan) for plan in plans}) == 1  # ranks stay in step
    seen = [place for plan in plans for batch in plan for place in batch]
    assert sorted(seen) == list(range(len(keys)))
    assert all(len(batch) <= batch_size for plan in plans for batch in plan)
    home: dict[int, set[int]] = {}
    for rank, plan in enumerate(plans):
        for batch in plan:
            for place in batch:
                home.setdefault(keys[place], set()).add(rank)
    assert all(len(ranks) == 1 for ranks in home.values())
    sizes = Counter(keys)
    for plan in plans:
        where: dict[int, set[int]] = {}
        for number, batch in enumerate(plan):
            for place in batch:
                where.setdefault(keys[place], set()).add(number)
        assert all(len(batches) == 1 for key, batches in where.items() if sizes[key] <= batch_size)
    assert all(len(ImageBatches(asked, batch_size, rank, world)) == len(plan) for rank, plan in enumerate(plans))


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 5), st.integers(1, 3), st.data())
def test_a_selection_never_exceeds_the_length_told(keys: list[int], size: int, world: int, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(range(len(keys))), unique=True) if keys else st.just([]))
    for rank in range(world):
        batches = ImageBatches(questions(keys), size, rank, world, select=lambda: chosen)
        assert len(list(batches)) <= len(batches)


def test_shards_are_balanced() -> None:
    plans = [list(ImageBatches(questions(list(range(101))), 8, rank, 4)) for rank in range(4)]
    assert sorted(sum(map(len, plan)) for plan in plans) == [25, 25, 25, 26]


def test_a_rank_without_questions_gets_empty_batches() -> None:
    asked = questions([5, 5, 5])
    assert list(ImageBatches(asked, 2, 0, 2)) == [[0, 1], [2]]
    assert list(ImageBatches(asked, 2, 1, 2)) == [[], []]


def test_stream_sampler_starts_midway_once() -> None:
    sampler = StreamSampler(5, start=3)
    iter(sampler)  # an iterator that nobody uses
    assert list(sampler) == [3, 4]
    assert list(sampler) == [0, 1, 2, 3, 4]
    assert len(sampler) == 5


def test_probe() -> None:
    edits = [Edit(f"e{place}", ImageRef(sha=""), "?", ("a", "b"), "a") for place in range(400)]
    drawn = draw_probe(edits, 200, 50, seed=1)
    assert len(drawn) == len(set(drawn)) == 50
    assert drawn == draw_probe(edits, 200, 50, seed=1)
    places = [int(name[1:]) for name in drawn]
    assert places == sorted(places)
    assert max(places) < 200
    assert max(places) > 150
    assert min(places) < 50
    assert drawn != draw_probe(edits, 200, 50, seed=2)
    assert draw_probe(edits, 3, 50, seed=1) == ["e0", "e1", "e2"]
    assert draw_probe(edits, 0, 50, seed=1) == []
