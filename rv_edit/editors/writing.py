"""How a question without choices is put to a VLM: the path of :mod:`rv_edit.editors.answering`, but it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from data_modules.records import Question
from rv_edit.editors.answering import Asking, Context, ContextOf, Item, with_contexts, within_reach

if TYPE_CHECKING:
    from rv_edit.vlm import VLM, ImageFeatures


@dataclass(frozen=True)
class Written:
    """An answer in the model's own words, what was put before the question, and whether it came to its end."""

    text: str
    context: Context
    ended: bool = True


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
        together = partial(_write, vlm=vlm, features=features, asking=asking, max_new_tokens=max_new_tokens)
        texts = within_reach(items, together)
        written.update(zip([index for _, index, _ in asked], texts, strict=True))
    return [written[index] for index in range(len(questions))]


def _write(
    asked: list[Item], *, vlm: VLM, features: ImageFeatures, asking: Asking, max_new_tokens: int
) -> list[Written]:
    prompts = [vlm.format_prompt(question.text, context.facts) for _, question, context in asked]
    rows = features.pick([row for row, _, _ in asked])
    texts = vlm.generate(rows, prompts, max_new_tokens=max_new_tokens, batch_size=asking.batch_size)
    return [Written(str(text), context, text.ended) for text, (_, _, context) in zip(texts, asked, strict=True)]
