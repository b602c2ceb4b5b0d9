"""Choice scoring: a picture looked at once and a prompt read once, against a full forward a choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.speed_parts.common import (
    MS,
    WEIGHTS,
    Options,
    Part,
    Row,
    alternately,
    machine,
    opened,
    questions_of,
)
from benchmarks.speed_parts.plain import choice_scores
from data_modules.records import Question
from rv_edit.editors.answering import distinct_choices
from rv_edit.vlm import VLM, load_vlm

FRESH, SHARED, EACH = 3.5, 6.0, 6
"""Targets, and questions a picture where questions share pictures."""
TOLERANCE = 1e-3


def measure(options: Options) -> Part:
    """Questions on pictures of their own, in a batch and one by one; and questions that share pictures."""
    rows = []
    for name in options.models:
        vlm = load_vlm(f"{WEIGHTS}/{name}")
        count = options.of(32, 2)
        fresh = questions_of(count)
        shared = [
            Question(f"{at}/{turn}", fresh[at].image, text.text, text.choices, text.target)
            for at in range(options.of(8, 1))
            for turn, text in enumerate(questions_of(EACH, skip=at * EACH))
        ]
        rows.append(compared(vlm, f"{name}: {count} questions, a picture each", [fresh], FRESH, options))
        singly = [[question] for question in fresh[: options.of(8, 1)]]
        rows.append(compared(vlm, f"{name}: {len(singly)} questions, one at a time", singly, None, options))
        what = f"{name}: {len(shared)} questions, {EACH} a picture"
        rows.append(compared(vlm, what, [shared], SHARED, options))
    return Part(rows, machine=machine(options))


def compared(vlm: VLM, what: str, calls: Sequence[Sequence[Question]], target: float | None, options: Options) -> Row:
    """A row: the questions put in ``calls`` calls of ours, against as many forwards as there are choices."""
    pictures = opened([question for call in calls for question in call])
    ours, other, results = alternately(
        lambda _: [score for call in calls for score in shared_scores(vlm, call, pictures)],
        lambda _: [plain_scores(vlm, question, pictures) for call in calls for question in call],
        options.rounds,
        options.clock,
    )
    apart = agreement(results[0][0], results[0][1])
    number = sum(map(len, calls))
    return Row.timed(
        what,
        ours,
        other,
        "a `transformers` forward a choice",
        target,
        per=number * MS,
        agrees=f"same choice, log-probabilities to {apart:.0e}",
        unit="ms a question",
    )


def shared_scores(vlm: VLM, questions: Sequence[Question], pictures: dict[str, Any]) -> list[list[float]]:
    """Ours: distinct pictures encoded once, all questions scored together."""
    shas = list(dict.fromkeys(question.image.sha for question in questions))
    features = vlm.encode_images([pictures[sha] for sha in shas])
    merged = [distinct_choices(question.choices) for question in questions]
    scored = vlm.score(
        features.pick([shas.index(question.image.sha) for question in questions]),
        [vlm.format_prompt(question.text) for question in questions],
        [choices for choices, _ in merged],
        batch_size=32,
    )
    return [[score.logp[at] for at in index] for score, (_, index) in zip(scored, merged, strict=True)]


def plain_scores(vlm: VLM, question: Question, pictures: dict[str, Any]) -> list[float]:
    """The alternative."""
    return choice_scores(vlm, pictures[question.image.sha], vlm.format_prompt(question.text), question.choices)


def agreement(ours: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """The largest difference of a score; asserts that it is small and that the same choices win."""
    apart = max(abs(a - b) for left, right in zip(ours, other, strict=True) for a, b in zip(left, right, strict=True))
    assert apart < TOLERANCE, f"log-probabilities differ by {apart}"
    for left, right in zip(ours, other, strict=True):
        lead = max(left) - left[max(range(len(right)), key=right.__getitem__)]
        assert lead <= TOLERANCE, "another choice wins"
    return apart
