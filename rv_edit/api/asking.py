"""Questions put to one state of the edits: what the API and the service both do, each in its own batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_modules.records import Question
from rv_edit.api.explaining import Explanation, explain
from rv_edit.api.records import Reply

if TYPE_CHECKING:
    from rv_edit.api.state import State


def ask_state(state: State, questions: Sequence[Question], max_new_tokens: int) -> list[Reply]:
    """Answer ``questions`` with the edits of ``state``; those without choices are answered freely."""
    replies: dict[int, Reply] = {}
    free = [place for place, question in enumerate(questions) if not question.choices]
    bound = [place for place, question in enumerate(questions) if question.choices]
    if free:
        for place, item in zip(free, state.editor.write([questions[at] for at in free], max_new_tokens), strict=True):
            seen = item.context
            replies[place] = Reply(
                item.text, (), (), seen.facts, seen.distances, seen.accepted, seen.threshold, item.ended
            )
    if bound:
        for place, found in zip(bound, state.editor.answer([questions[at] for at in bound]), strict=True):
            choices = questions[place].choices
            replies[place] = Reply(
                choices[found.prediction], choices, found.scores, found.facts, found.distances, found.accepted,
                found.threshold,
            )  # fmt: skip
    return [replies[place] for place in range(len(questions))]


def explain_state(state: State, questions: Sequence[Question]) -> list[Explanation]:
    """What the edits of ``state`` do to ``questions``, and why."""
    found = state.editor.retrieve(questions)
    book = state.editor.codebook
    return [explain(book, question.text, item) for question, item in zip(questions, found, strict=True)]
