"""An edited answer against the plain model given the same final prompt: what key, search and gate add."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.speed_parts.common import MS, Options, Part, Row, alternately, machine, questions_of
from benchmarks.speed_parts.editing import known_keys, reasonedit
from benchmarks.speed_parts.scoring import agreement
from data_modules.records import Answer, Question
from rv_edit.editors.reasonedit import ReasonEdit

TARGET = 1.10
EDITS, FIRST = 200, 300


def measure(options: Options) -> Part:
    """Every question retrieves (the gate is open) and no text was seen before."""
    rows, notes = [], []
    for name in options.models:
        editor = reasonedit(name, "editor.codebook.gate=none")
        keys, sentences = known_keys(editor, options.of(EDITS, 4))
        for number, (key, sentence) in enumerate(zip(keys, sentences, strict=True)):
            editor.codebook.insert(f"e{number}", key[None], [sentence], [0.0], ["answer"])
        for size in dict.fromkeys((options.of(32, 2), 1)):
            ask = Asked(editor, questions_of(size * (options.rounds + 1), skip=FIRST), size)
            ours, other, results = alternately(ask.edited, ask.plain, options.rounds, options.clock)
            apart = max(agreement([a.scores for a in given], scores) for given, scores in results)
            assert all(len(answer.facts) for given, _ in results for answer in given), "a question retrieved nothing"
            facts = statistics.mean(len(answer.facts) for given, _ in results for answer in given)
            rows.append(
                Row.timed(
                    f"{name}: {size} question{'s' * (size > 1)} at a time, {facts:.1f} facts each",
                    ours,
                    other,
                    "the same model and prompts without an editor",
                    TARGET,
                    per=size * MS,
                    at_least=False,
                    agrees=f"same choice, log-probabilities to {apart:.0e}",
                    unit="ms a question",
                )
            )
        notes.append(f"{name}: the codebook has {len(editor.codebook)} keys of {editor.codebook.dim} numbers.")
    return Part(rows, notes, machine(options))


class Asked:
    """Rounds of new questions, put to the editor and then, with the prompts that it made, to its model."""

    def __init__(self, editor: ReasonEdit, questions: Sequence[Question], size: int) -> None:
        self.editor, self.questions, self.size = editor, questions, size
        self.given: list[Answer] = []

    def of(self, turn: int) -> Sequence[Question]:
        """The questions of a round; the warm-up's are the last ones."""
        start = (turn * self.size) % len(self.questions)
        return self.questions[start : start + self.size]

    def edited(self, turn: int) -> list[Answer]:
        """Ours."""
        self.given = self.editor.answer(self.of(turn))
        return self.given

    def plain(self, turn: int) -> list[tuple[float, ...]]:
        """Pictures decoded, looked at and asked about, with the facts already in the prompts."""
        vlm, asking, questions = self.editor.vlm, self.editor.asking, self.of(turn)
        features = vlm.encode_images([question.image.open() for question in questions])
        prompts = [vlm.format_prompt(q.text, a.facts) for q, a in zip(questions, self.given, strict=True)]
        choices = [list(question.choices) for question in questions]
        scored = vlm.score(features, prompts, choices, asking.normalize, asking.batch_size)
        return [score.logp for score in scored]
