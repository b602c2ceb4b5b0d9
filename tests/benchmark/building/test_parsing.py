"""What is accepted of a language model's answers, and under which reason the rest is counted."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.text import answer_key, question_key
from rv_edit.benchmark.building import parsing
from rv_edit.benchmark.building.requests import UnusableError

GOOD = {"question": "What purrs?", "correct": "a cat", "incorrect": ["a dog", "a cow", "a hen"]}


@pytest.mark.parametrize("text", ['["a b"]', ' \n["a b"]\n', '```json\n["a b"]\n```', '```\n["a b"]\n```\n'])
def test_json_bare_or_in_one_fence(text: str) -> None:
    assert parsing.parse_texts(text) == ["a b"]


@pytest.mark.parametrize(
    "text",
    ["", "1. One\n2. Two", 'Sure! ["a"]', '["a"', '["a"] and more', "```json\n[\n```", '{"a": "b"}', "[1]", "null",
     "[" * 100_000, '["a", null]', '```json\n["a"]\n```\n```json\n["b"]\n```'],
)  # fmt: skip
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(UnusableError, match=parsing.MALFORMED):
        parsing.parse_texts(text)


def test_rephrasings_are_distinct_and_not_the_question() -> None:
    answer = ["What does it do?", "what does IT do", "", "What is its habit?", "What is it doing?\u202e"]
    good, bad = parsing.rephrasings(json.dumps(answer), "What is it doing?")
    assert good == ["What does it do?", "What is its habit?"]
    assert bad == Counter({parsing.REPEATED: 1, parsing.EMPTY: 1, parsing.EDITED: 1})


@given(st.lists(st.text(max_size=12), max_size=8), st.text(max_size=12))
def test_every_text_is_kept_or_counted(answers: list[str], question: str) -> None:
    good, bad = parsing.rephrasings(json.dumps(answers), question)
    assert len(good) + sum(bad.values()) == len(answers)
    keys = [question_key(text) for text in good]
    assert len(set(keys)) == len(keys) and question_key(question) not in keys and all(good)


def test_scenes_are_one_short_sentence() -> None:
    nineteen = " ".join(["word"] * 18) + " end."
    twenty = "one " + nineteen
    answer = ["A cat at 3.5 p.m. sits.", "A cat. A dog.", nineteen, twenty, "A CAT at 3.5 p.m. sits", "Is it? Yes."]
    good, bad = parsing.scenes(json.dumps(answer), 20)
    assert good == [answer[0], nineteen]
    assert bad == Counter({parsing.SEVERAL: 2, parsing.TOO_LONG: 1, parsing.REPEATED: 1})


def test_a_rationale_question() -> None:
    found = parsing.rationale_question(json.dumps(GOOD), "What is it?", 3)
    assert found == parsing.RationaleQuestion("What purrs?", "a cat", ("a dog", "a cow", "a hen"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"correct": None}, parsing.MALFORMED),
        ({"incorrect": "a dog"}, parsing.MALFORMED),
        ({"incorrect": ["a dog", 1, "a hen"]}, parsing.MALFORMED),
        ({"question": 3}, parsing.MALFORMED),
        ({"question": " \u200b"}, parsing.EMPTY),
        ({"incorrect": ["a dog", "", "a hen"]}, parsing.EMPTY),
        ({"question": "what IS it"}, parsing.EDITED),
        ({"incorrect": ["a dog", "a cow"]}, parsing.WRONG_COUNT),
        ({"incorrect": ["a dog", "a cow", "The Cats"]}, parsing.RIGHT_AMONG_WRONG),
        ({"incorrect": ["a dog", "Dog.", "a hen"]}, parsing.REPEATED),
    ],
)
def test_a_rationale_question_that_tests_nothing(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableError) as caught:
        parsing.rationale_question(json.dumps({**GOOD, **change}), "What is it?", 3)
    assert caught.value.reason == reason


def test_right_among_wrong_is_by_meaning_as_everywhere() -> None:
    assert answer_key("The Cats") == answer_key("a cat")
    with pytest.raises(UnusableError):
        parsing.rationale_question("[]", "What is it?", 3)
