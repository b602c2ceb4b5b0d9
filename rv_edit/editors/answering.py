"""How a multiple-choice question is put to a VLM, whoever edits it: one path for all editors.

An editor differs in the :class:`Context` it puts before a question, or in what its :data:`Scope` changes inside the
model while the questions in scope are scored. An editor that does neither for any of the questions asks exactly what
the unedited model is asked, in the same batches, and so answers bit for bit alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from data_modules.records import Answer, ImageRef, Question, RecordError

if TYPE_CHECKING:
    from torch import Tensor

    from rv_edit.vlm import VLM, ImageFeatures


@dataclass(frozen=True)
class Asking:
    """How questions are scored and batched.

    Attributes:
        normalize: ``sum | mean | first_token`` of the log-probabilities of a choice's tokens (paper D.1).
        batch_size: questions scored together.
        image_batch_size: distinct pictures encoded together; their features are kept until their questions
            are answered.
    """

    normalize: str = "sum"
    batch_size: int = 32
    image_batch_size: int = 64


@dataclass(frozen=True)
class Context:
    """What an editor puts before one question, or whether it changed the model for it, and why.

    ``distances`` are those of the nearest keys, ``fact_distances`` that of each fact's key.
    """

    facts: tuple[str, ...] = ()
    distances: tuple[float, ...] = ()
    accepted: bool | None = None
    threshold: float | None = None
    fact_distances: tuple[float, ...] = ()

    def without_farthest(self) -> Context:
        """With one fact less, the last."""
        return replace(self, facts=self.facts[:-1], fact_distances=self.fact_distances[:-1])


Item = tuple[int, "Question", Context]
"""A question about a picture: the picture's row among some features, the question, and what goes before it."""
Result = TypeVar("Result")

ContextOf = Callable[["list[Question]", "Tensor"], "list[Context]"]
"""Questions and the pooled features (B, dv) of their pictures, (B, 0) without a layer -> a context for each."""

Scope = Callable[[], AbstractContextManager[Mapping[int, Context]]]
"""Opened around each call of ``vlm.score``; filled meanwhile: index of a prompt in the call -> what was decided."""


def distinct_choices(choices: Sequence[str]) -> tuple[list[str], list[int]]:
    """Merge equal choices: the distinct ones in order, and for each choice its place among them.

    >>> distinct_choices(["red", "blue", "red"])
    (['red', 'blue'], [0, 1, 0])
    """
    place: dict[str, int] = {}
    index = [place.setdefault(choice, len(place)) for choice in choices]
    return list(place), index


def best(scores: Sequence[float]) -> int:
    """Index of the highest score; the lowest index among equals."""
    return max(range(len(scores)), key=lambda index: (scores[index], -index))


def is_right(question: Question, answer: Answer) -> bool:
    """Whether the predicted choice reads like the right one (they may be duplicates of each other).

    A score that is no number, as a model gives whose weights have run away, is no answer: it counts as wrong.
    """
    if any(math.isnan(score) for score in answer.scores):
        return False
    return question.choices[answer.prediction] == question.choices[question.target]


def answer_questions(
    vlm: VLM,
    questions: Sequence[Question],
    asking: Asking,
    context_of: ContextOf | None = None,
    pool_layer: int | None = None,
    pool: str = "mean",
    scope: Scope | None = None,
) -> list[Answer]:
    """Answer ``questions`` in their order, with one vision pass a distinct picture.

    Args:
        vlm: the model that scores.
        questions: in any order, on any pictures.
        asking: scoring and batching.
        context_of: what to put before each question; ``None``: nothing.
        pool_layer: vision block whose pooled output ``context_of`` gets.
        pool: ``mean | last`` over the tokens of that block.
        scope: changes the model for the questions it takes to be its own, and says which; ``None``: nothing does.

    Raises:
        RecordError: a picture cannot be decoded.
    """
    answers: dict[int, Answer] = {}
    for features, asked in with_contexts(vlm, questions, asking, context_of, pool_layer, pool):
        rows = [(row, questions[index], context) for row, index, context in asked]
        together = partial(_score, vlm=vlm, features=features, asking=asking, scope=scope)
        scored = within_reach(rows, together)
        answers.update(zip([index for _, index, _ in asked], scored, strict=True))
    return [answers[index] for index in range(len(questions))]


def with_contexts(
    vlm: VLM,
    questions: Sequence[Question],
    asking: Asking,
    context_of: ContextOf | None = None,
    pool_layer: int | None = None,
    pool: str = "mean",
) -> Iterator[tuple[ImageFeatures, list[tuple[int, int, Context]]]]:
    """Look at the pictures, some at a time, and find what goes before each question; see :func:`answer_questions`.

    Yields:
        Features of some pictures; and for each question about one of them the picture's row, the place of the
        question among ``questions``, and its context.
    """
    import torch

    by_image: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        by_image.setdefault(question.image.sha, []).append(index)
    shas = list(by_image)
    for start in range(0, len(shas), asking.image_batch_size):
        chunk = shas[start : start + asking.image_batch_size]
        pictures: list[ImageRef] = [questions[by_image[sha][0]].image for sha in chunk]
        layers = () if pool_layer is None or context_of is None else (pool_layer,)
        features = vlm.encode_images([picture.open() for picture in pictures], pool_layers=layers, pool=pool)
        rows = [(row, index) for row, sha in enumerate(chunk) for index in by_image[sha]]
        contexts = [Context()] * len(rows)
        if context_of is not None:
            pooled = features.pooled[layers[0]] if layers else torch.zeros(len(chunk), 0)
            pooled = pooled[[row for row, _ in rows]]
            contexts = context_of([questions[index] for _, index in rows], pooled)
        yield features, [(row, index, context) for (row, index), context in zip(rows, contexts, strict=True)]


def within_reach(asked: list[Item], together: Callable[[list[Item]], list[Result]]) -> list[Result]:
    """``together`` of a chunk's questions; facts that make a prompt longer than the model reads go, the farthest first.

    Raises:
        RecordError: a question is longer than the model reads without any facts.
    """
    from rv_edit.vlm import PromptTooLongError

    try:
        return together(asked)
    except PromptTooLongError as error:
        if len(asked) > 1:
            return [found for item in asked for found in within_reach([item], together)]
        row, question, context = asked[0]
        if not context.facts:
            raise RecordError(f"question {question.id}: {error}") from error
        return within_reach([(row, question, context.without_farthest())], together)


def _score(
    asked: list[Item], *, vlm: VLM, features: ImageFeatures, asking: Asking, scope: Scope | None
) -> list[Answer]:
    merged = [distinct_choices(question.choices) for _, question, _ in asked]
    with nullcontext({}) if scope is None else scope() as decided:
        scored = vlm.score(
            features.pick([row for row, _, _ in asked]),
            [vlm.format_prompt(question.text, context.facts) for _, question, context in asked],
            [choices for choices, _ in merged],
            normalize=asking.normalize,
            batch_size=asking.batch_size,
        )
    answers = []
    for item, ((_, question, context), (_, index), result) in enumerate(zip(asked, merged, scored, strict=True)):
        context = decided.get(item, context)
        scores = tuple(float(result.logp[at]) for at in index)
        answers.append(
            Answer(
                question.id,
                best(scores),
                scores,
                context.facts,
                context.distances,
                context.accepted,
                context.threshold,
                context.fact_distances,
            )
        )
    return answers
