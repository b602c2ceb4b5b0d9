"""All suites of some edits: the edited model in batches, against one question at a time through ``transformers``."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.speed_parts.common import Options, Part, Row, alternately, machine, opened, ratio
from benchmarks.speed_parts.editing import known_keys, reasonedit
from benchmarks.speed_parts.plain import choice_scores
from benchmarks.speed_parts.scoring import agreement
from data_modules.records import Answer, Question
from rv_edit.editors.reasonedit import ReasonEdit

TARGET = 5.0
FIRST = 2000


def measure(options: Options) -> Part:
    """Acc, T-Gen, I-Gen, R-Gen and Loc questions; both give each question the facts that were retrieved for it."""
    rows = []
    for name in options.models:
        editor = reasonedit(name)
        keys, sentences = known_keys(editor, options.of(100, 12))
        for number, (key, sentence) in enumerate(zip(keys, sentences, strict=True)):
            editor.codebook.insert(f"e{number}", key[None], [sentence], [0.0], ["answer"])
        questions = asked(options.of(6, 1))
        pictures = opened(questions)
        put = Put(editor, questions, pictures)
        ours, other, results = alternately(put.edited, put.plain, options.rounds, options.clock)
        apart = agreement(*results[0])
        suites = sorted({question.suite for question in questions})
        rows.append(
            Row(
                f"{name}: {len(questions)} questions of {', '.join(suites)} on {len(pictures)} pictures",
                len(questions) / statistics.median(ours),
                len(questions) / statistics.median(other),
                "one question at a time, a `transformers` forward a choice",
                ratio(other, ours),
                TARGET,
                agrees=f"same choice, log-probabilities to {apart:.0e}",
                unit="questions/s",
            )
        )
    return Part(rows, machine=machine(options))


class Put:
    """The same questions put to the editor, and with the facts that it found to its model by ``transformers``."""

    def __init__(self, editor: ReasonEdit, questions: list[Question], pictures: dict[str, Any]) -> None:
        self.editor, self.questions, self.pictures = editor, questions, pictures
        self.given: list[Answer] = []

    def edited(self, _: int) -> list[list[float]]:
        """Ours; no text is known from an earlier round."""
        self.editor.embedding.text_encoder.forget()
        self.given = self.editor.answer(self.questions)
        return [list(answer.scores) for answer in self.given]

    def plain(self, _: int) -> list[list[float]]:
        """A forward a choice."""
        vlm = self.editor.vlm
        return [
            choice_scores(
                vlm, self.pictures[asked.image.sha], vlm.format_prompt(asked.text, answer.facts), asked.choices
            )
            for asked, answer in zip(self.questions, self.given, strict=True)
        ]


def asked(edits: int) -> list[Question]:
    """The suites of some edits, and as many Loc questions as edits have of their own."""
    from rv_edit.pocket.dataset import load

    bundle = load("aokvqa")
    records = bundle.records[FIRST : FIRST + edits]
    questions: list[Question] = []
    for record in records:
        edit = record.as_edit()
        questions.append(record.as_question())
        for suite in ("t_gen", "i_gen", "r_gen"):
            questions += getattr(bundle.provider, suite)(edit, record)
    others = [record.as_question() for record in bundle.records[FIRST - len(questions) // 4 : FIRST]]
    return [*questions, *(Question(q.id, q.image, q.text, q.choices, q.target, "loc") for q in others)]
