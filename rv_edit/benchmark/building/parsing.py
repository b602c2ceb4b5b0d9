"""What a language model returned, read strictly: whatever is not exactly what was asked for is an objection.

Answers are JSON and nothing else, bare or in one code fence. A list may be good in part: the good texts are kept,
each bad one is counted under its reason.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from data_modules.text import answer_key, clean_text, question_key
from rv_edit.benchmark.building.requests import UnusableError

MALFORMED = "not JSON of the form asked for"
EMPTY = "an empty text"
REPEATED = "repeated"
EDITED = "the edited question itself"
TOO_FEW = "too few"
TOO_LONG = "too long"
SEVERAL = "more than one sentence"
RIGHT_AMONG_WRONG = "the right answer is among the wrong ones"
WRONG_COUNT = "another number of wrong answers than asked for"

_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?[ \t]*```", re.S)
_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*\s+(?=[A-Z\"'(])")


@dataclass(frozen=True)
class RationaleQuestion:
    """A multiple-choice question on some facts."""

    question: str
    correct: str
    incorrect: tuple[str, ...]


def parse_json(text: str) -> Any:
    """The value that ``text`` is, with a code fence around it or without.

    Raises:
        UnusableError: anything else, words around it included.
    """
    body = text.strip()
    fenced = _FENCED.fullmatch(body)
    try:
        return json.loads(fenced.group(1) if fenced else body)
    except (ValueError, RecursionError) as error:
        raise UnusableError(MALFORMED) from error


def parse_texts(text: str) -> list[str]:
    """A JSON array of texts, cleaned.

    Raises:
        UnusableError: no array, or something in it that is no text.
    """
    value = parse_json(text)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UnusableError(MALFORMED)
    return [clean_text(item) for item in value]


def rephrasings(text: str, question: str) -> tuple[list[str], Counter[str]]:
    """The distinct rephrasings of ``question`` in an answer, in order, and how many were bad for which reason.

    Raises:
        UnusableError: the answer is malformed.

    >>> rephrasings('["What is it?", "what is it", "Name it."]', "What IS it?")
    (['Name it.'], Counter({'the edited question itself': 2}))
    """
    edited = question_key(question)
    return _distinct(parse_texts(text), lambda item: EDITED if question_key(item) == edited else None)


def scenes(text: str, most_words: int) -> tuple[list[str], Counter[str]]:
    """The distinct one-sentence scenes of less than ``most_words`` words, and how many were bad for which reason.

    Raises:
        UnusableError: the answer is malformed.

    >>> scenes('["A cat sits.", "A cat sits", "It is red. It is big."]', 20)
    (['A cat sits.'], Counter({'repeated': 1, 'more than one sentence': 1}))
    """

    def fault(item: str) -> str | None:
        if len(item.split()) >= most_words:
            return TOO_LONG
        return SEVERAL if _SENTENCE_END.search(item) else None

    return _distinct(parse_texts(text), fault)


def _distinct(items: Sequence[str], fault: Callable[[str], str | None]) -> tuple[list[str], Counter[str]]:
    """Items without a fault, each once, and how many others there were: empty, at fault, or repeated."""
    kept: dict[str, str] = {}
    bad: Counter[str] = Counter()
    for item in items:
        key = question_key(item)
        if reason := fault(item) if item else EMPTY:
            bad[reason] += 1
        elif key in kept:
            bad[REPEATED] += 1
        else:
            kept[key] = item
    return list(kept.values()), bad


def rationale_question(text: str, edited: str, wrong: int) -> RationaleQuestion:
    """The question of an answer ``{"question": …, "correct": …, "incorrect": […]}``.

    Args:
        text: the answer.
        edited: the edited question, which it must not be.
        wrong: how many wrong answers were asked for.

    Raises:
        UnusableError: malformed, or a question that tests nothing.
    """
    value = parse_json(text)
    if not isinstance(value, dict):
        raise UnusableError(MALFORMED)
    question, correct, incorrect = (value.get(name) for name in ("question", "correct", "incorrect"))
    if not isinstance(question, str) or not isinstance(correct, str) or not isinstance(incorrect, list):
        raise UnusableError(MALFORMED)
    if not all(isinstance(item, str) for item in incorrect):
        raise UnusableError(MALFORMED)
    question, correct = clean_text(question), clean_text(correct)
    answers = [clean_text(item) for item in incorrect]
    if not question or not correct or not all(answers):
        raise UnusableError(EMPTY)
    if question_key(question) == question_key(edited):
        raise UnusableError(EDITED)
    if len(answers) != wrong:
        raise UnusableError(WRONG_COUNT)
    keys = [answer_key(item) for item in answers]
    if answer_key(correct) in keys:
        raise UnusableError(RIGHT_AMONG_WRONG)
    if len(set(keys)) < len(keys):
        raise UnusableError(REPEATED)
    return RationaleQuestion(question, correct, tuple(answers))
