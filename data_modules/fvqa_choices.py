"""Answer choices for FVQA, which has none: a rule of ours, seeded by the question, documented here.

Neither the release nor the paper says how four candidates were made. Distractors are drawn, by a generator seeded with
the question id, from the answers of other questions with the same answer source (image or knowledge base) and
the same relation; failing three of those, with the same answer source and visual concept; failing that, from
all. Never drawn: what equals the answer up to case, article and plain plural; answers of other questions on
the same picture with the same relation (in the wider pools: with any), since those may well be true too.
A yes/no answer gets ``yes`` and ``no``. The pool is the whole file, whatever subset is then read.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data_modules.text import answer_key, clean_text

_BINARY = ("yes", "no")
_MARKED = re.compile(r"\[\[.*?\]\]")
_ARTICLE = re.compile(r"\b(?:a|an|the) ")


@dataclass(frozen=True)
class OpenQuestion:
    """What the rule needs to know of a question."""

    id: str
    image: str
    answer: str
    source: str
    concept: str
    relation: str


def relation_of(surface: str, kb: str) -> str:
    """The relation a fact states, told by its wording: the triples file is optional and changes nothing.

    DBpedia and WebChild have one kind of relation each here; ConceptNet's follows from the words between the
    marked ends; bare triples name it.

    >>> relation_of("You are likely to find [[a trumpet]] in [[a jazz club]].", "conceptnet")
    'you are likely to find _ in _'
    >>> relation_of("(glove,/r/RelatedTo,covering hands)", "conceptnet")
    'relatedto'
    """
    if "[[" not in surface:
        parts = surface.strip("() ").split(",")
        return parts[1].rsplit("/", 1)[-1].casefold() if len(parts) >= 3 else kb.casefold()
    if kb.casefold() != "conceptnet":
        return kb.casefold()
    template = clean_text(_MARKED.sub("_", surface)).casefold().strip("*. ")
    return _ARTICLE.sub("", template)


class ChoiceRule:
    """The rule over one file's questions.

    Args:
        questions: all questions of the file.
        distractors: wrong choices a question gets, as far as the pools reach.
        seed: mixed into every question's own seed.
    """

    def __init__(self, questions: Iterable[OpenQuestion], distractors: int = 3, seed: int = 0) -> None:
        self.distractors = distractors
        self.seed = seed
        self._pools: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self._on_image: dict[tuple[str, ...], set[str]] = defaultdict(set)
        spellings: dict[str, Counter[str]] = defaultdict(Counter)
        for question in questions:
            key = answer_key(question.answer)
            if key in _BINARY:
                continue
            spellings[key][clean_text(question.answer)] += 1
            for pool in self._pools_of(question):
                self._pools[pool].add(key)
            self._on_image[question.image, question.relation].add(key)
            self._on_image[question.image,].add(key)
        # The commonest spelling stands for all; among equally common ones the first in the alphabet.
        self._spelling = {key: min(seen, key=lambda text: (-seen[text], text)) for key, seen in spellings.items()}

    def choices(self, question: OpenQuestion) -> tuple[tuple[str, ...], bool]:
        """The choices in seeded order, the answer as spelt by the question, and whether a wider pool was needed."""
        answer = clean_text(question.answer)
        generator = np.random.default_rng(_seed(self.seed, question.id))
        if answer_key(answer) in _BINARY:
            other = _BINARY[1 - _BINARY.index(answer_key(answer))]
            return self._shuffled([answer, other.capitalize() if answer[0].isupper() else other], generator), False
        drawn: list[str] = []
        widened = False
        for step, pool in enumerate(self._pools_of(question)):
            missing = self.distractors - len(drawn)
            if missing <= 0:
                break
            widened = step > 0
            near = (question.image, question.relation) if step == 0 else (question.image,)
            barred = self._on_image.get(near, set()) | {answer_key(answer)} | set(drawn)
            left = sorted(self._pools.get(pool, set()) - barred)
            drawn += [left[index] for index in generator.permutation(len(left))[:missing]]
        return self._shuffled([answer, *(self._spelling[key] for key in drawn)], generator), widened

    @staticmethod
    def _pools_of(question: OpenQuestion) -> list[tuple[str, ...]]:
        """From narrow to wide."""
        return [
            ("relation", question.source, question.relation),
            ("concept", question.source, question.concept),
            ("all",),
        ]

    @staticmethod
    def _shuffled(choices: Sequence[str], generator: np.random.Generator) -> tuple[str, ...]:
        return tuple(choices[index] for index in generator.permutation(len(choices)))


def _seed(seed: int, question_id: str) -> int:
    text = f"fvqa choices {seed} {question_id}"
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:8], "big")
