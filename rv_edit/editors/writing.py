"""How a question without choices is put to a VLM: the path of :mod:`rv_edit.editors.answering`, but it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from data_modules.records import Question, RecordError
from rv_edit.editors.answering import Asking, Context, ContextOf, with_contexts

if TYPE_CHECKING:
    from rv_edit.vlm import VLM, ImageFeatures


@dataclass(frozen=True)
class Written:
    """An answer in the model's own words, and what was put before the question."""

    text: str
    context: Context


def write_answers(
    vlm: VLM,
    questions: Sequence[Question],
    asking: Asking,
    max_new_tokens: int = 16,
    context_of: ContextOf | None = None,
    pool_layer: int | None = None,
    pool: str = "mean",
) -> list[Written]:
    """Greedy answers to ``questions`` in their order; the arguments are those of ``answer_questions``.

    Raises:
        RecordError: a picture cannot be decoded, or a question is longer than the model reads.
    """
    written: dict[int, Written] = {}
    for features, asked in with_contexts(vlm, questions, asking, context_of, pool_layer, pool):
        items = [(row, questions[index], context) for row, index, context in asked]
        texts = _write(vlm, features, items, asking, max_new_tokens)
        written.update(zip([index for _, index, _ in asked], texts, strict=True))
    return [written[index] for index in range(len(questions))]


def _write(
    vlm: VLM, features: ImageFeatures, asked: list[tuple[int, Question, Context]], asking: Asking, tokens: int
) -> list[Written]:
    """Write one chunk's answers; facts that make a prompt longer than the model reads go, the farthest first."""
    from rv_edit.vlm import PromptTooLongError

    prompts = [vlm.format_prompt(question.text, context.facts) for _, question, context in asked]
    try:
        texts = vlm.generate(
            features.pick([row for row, _, _ in asked]), prompts, max_new_tokens=tokens, batch_size=asking.batch_size
        )
    except PromptTooLongError as error:
        if len(asked) > 1:
            return [answer for item in asked for answer in _write(vlm, features, [item], asking, tokens)]
        row, question, context = asked[0]
        if not context.facts:
            raise RecordError(f"question {question.id}: {error}") from error
        return _write(vlm, features, [(row, question, replace(context, facts=context.facts[:-1]))], asking, tokens)
    return [Written(text, context) for text, (_, _, context) in zip(texts, asked, strict=True)]
