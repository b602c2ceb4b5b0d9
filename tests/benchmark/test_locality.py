"""Locality questions: the draw, its exclusions, and word overlap against sets of words."""

from __future__ import annotations

import logging
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.qa_record import QARecord
from data_modules.records import ImageRef
from data_modules.text import question_key
from rv_edit.benchmark import draw_locality
from rv_edit.benchmark.locality import WordOverlap

WORDS = ["what", "is", "the", "red", "blue", "cat", "dog", "lamp", "on", "under", "sand", "near", "old", "big", "thing"]
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


@given(st.lists(texts, max_size=12), texts)
def test_overlap_is_jaccard(pool: list[str], text: str) -> None:
    own = set(text.split())
    expected = [len(own & set(t.split())) / (len(own | set(t.split())) or 1) for t in pool]
    overlap = WordOverlap(pool)
    np.testing.assert_allclose(overlap.scores(text), expected)
    ranked = sorted((place for place in range(len(pool)) if expected[place] > 0), key=lambda p: -expected[p])
    assert overlap.top(text, 3) == ranked[:3]


def pool(n: int, seed: int = 0) -> list[QARecord]:
    draw = random.Random(seed)
    return [
        QARecord(
            f"r{place}",
            ImageRef(sha=f"s{draw.randrange(n)}"),
            " ".join(draw.choices(WORDS, k=5)) + "?",
            ("a", "b"),
            "a",
        )
        for place in range(n)
    ]


def test_the_draw() -> None:
    records = pool(300)
    edits = [record.as_edit() for record in records[:12]]
    drawn = draw_locality(edits, records, 40, seed=3)
    assert len(drawn.questions) == 40
    assert len(drawn.similar) == len(drawn.random) == 20
    assert len({question.id for question in drawn.questions}) == 40
    assert [question.id for question in drawn.questions] == [*drawn.random, *drawn.similar]
    assert not {q.image.sha for q in drawn.questions} & {edit.image.sha for edit in edits}
    assert not {question_key(q.text) for q in drawn.questions} & {question_key(edit.question) for edit in edits}
    assert all(question.suite == "loc" and question.edit_id is None for question in drawn.questions)
    # Each similar one is among the three best of some edit, by overlap with what may be drawn at all.
    images, asked = {edit.image.sha for edit in edits}, {question_key(edit.question) for edit in edits}
    allowed = [r for r in records if r.image.sha not in images and question_key(r.question) not in asked]

    def overlap(a: str, b: str) -> float:
        one, two = set(a.strip("?").split()), set(b.strip("?").split())
        return len(one & two) / len(one | two)

    for name in drawn.similar:
        record = next(r for r in allowed if r.id == name)
        assert any(
            sum(overlap(e.question, r.question) > overlap(e.question, record.question) for r in allowed) < 3
            for e in edits
        )


def test_it_depends_on_the_seed_alone() -> None:
    records = pool(200)
    edits = [record.as_edit() for record in records[:8]]
    drawn = draw_locality(edits, records, 30, seed=1)
    assert draw_locality(edits[::-1], records[::-1], 30, seed=1) == drawn
    assert draw_locality(edits, records, 30, seed=2) != drawn


def test_same_question_in_other_dress_and_same_picture_are_excluded() -> None:
    edit = QARecord("e", ImageRef(sha="s"), "What is the cat on?", ("a", "b"), "a").as_edit()
    twins = [
        QARecord("twin", ImageRef(sha="t"), "what is  THE cat on", ("a", "b"), "a"),
        QARecord("photo", ImageRef(sha="s"), "Where is the dog?", ("a", "b"), "a"),
        QARecord("fine", ImageRef(sha="u"), "What is the cat near?", ("a", "b"), "a"),
    ]
    drawn = draw_locality([edit], twins, 1)
    assert [question.id for question in drawn.questions] == ["fine"]


def test_too_few_similar_are_made_up_and_too_small_a_pool_is_told(caplog: pytest.LogCaptureFixture) -> None:
    records = pool(60)
    drawn = draw_locality([records[0].as_edit()], records, 40)
    assert len(drawn.questions) == 40
    assert len(drawn.similar) == 3
    with caplog.at_level(logging.WARNING):
        small = draw_locality([records[0].as_edit()], records, 100)
    assert len(small.questions) < 60
    assert "100 questions wanted" in caplog.text
    assert draw_locality([], records, 10).similar == ()
    assert not draw_locality([], [], 10).questions
