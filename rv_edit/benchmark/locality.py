"""Locality questions (paper 4.1): what the unedited VLM answers right and no edit should change.

Half are drawn at random, half from those whose words resemble an edited question most; none shares its picture
or its question with an edit.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_modules.qa_record import QARecord
from data_modules.records import Edit, Question
from data_modules.text import question_key, words

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocSet:
    """The questions drawn, the random ones first, and the ids of either half."""

    questions: tuple[Question, ...]
    random: tuple[str, ...]
    similar: tuple[str, ...]


def draw_locality(
    edits: Sequence[Edit],
    correct: Sequence[QARecord],
    n: int = 200,
    *,
    similar_share: float = 0.5,
    top: int = 3,
    seed: int = 0,
) -> LocSet:
    """Draw ``n`` locality questions; where there are too few similar ones, random ones take their places.

    Args:
        edits: the edit stream.
        correct: records that the unedited model answers right.
        n: questions; all there are, with a warning, where the pool holds fewer.
        similar_share: share that comes from the united ``top`` lists.
        top: questions an edit contributes: those with the highest word overlap (Jaccard) with it.
        seed: of the draw; neither the order of ``edits`` nor that of ``correct`` matters.
    """
    images = {edit.image.sha for edit in edits}
    asked = {question_key(edit.question) for edit in edits}
    pool = [
        record for record in correct if record.image.sha not in images and question_key(record.question) not in asked
    ]
    # A seeded shuffle that does not depend on the order of the pool; it also decides between equal overlaps.
    pool.sort(key=lambda record: hashlib.sha256(f"loc {seed} {record.id}".encode("utf-8", "replace")).digest())
    if len(pool) < n:
        _log.warning("locality: %d questions wanted, only %d share no picture or question with an edit", n, len(pool))
        n = len(pool)
    overlap = WordOverlap([record.question for record in pool])
    united = {index for edit in edits for index in overlap.top(edit.question, top)}
    # The lists are united in the pool's order, which is a random one: its head is a draw.
    similar = sorted(united)[: round(n * similar_share)]
    taken = set(similar)
    random = [index for index in range(len(pool)) if index not in taken][: n - len(similar)]
    return LocSet(
        tuple(pool[index].as_question("loc") for index in [*random, *similar]),
        tuple(pool[index].id for index in random),
        tuple(pool[index].id for index in similar),
    )


class WordOverlap:
    """Word overlap of a question with many texts at once, by an inverted index.

    Overlap is the Jaccard index of the two sets of words: shared words over all words.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        sets = [set(words(text)) for text in texts]
        self._sizes = np.array([len(own) for own in sets], dtype=np.float64)
        postings: dict[str, list[int]] = {}
        for index, own in enumerate(sets):
            for word in own:
                postings.setdefault(word, []).append(index)
        self._postings = {word: np.array(places) for word, places in postings.items()}

    def scores(self, text: str) -> npt.NDArray[np.float64]:
        """(n,) overlap of ``text`` with each of the texts, 0 … 1."""
        own = set(words(text))
        found = [self._postings[word] for word in own if word in self._postings]
        if not found:
            return np.zeros(len(self._sizes))
        shared = np.bincount(np.concatenate(found), minlength=len(self._sizes)).astype(np.float64)
        return shared / (self._sizes + len(own) - shared)

    def top(self, text: str, k: int) -> list[int]:
        """Places of the ``k`` texts with the highest overlap, best first, the first among equals; none with 0."""
        scores = self.scores(text)
        if k < len(scores):  # the k best and all that equal the last of them, found without sorting the rest
            least = np.partition(scores, len(scores) - k)[len(scores) - k] if k > 0 else np.inf
            places = np.flatnonzero(scores >= least)
        else:
            places = np.arange(len(scores))
        best = places[np.argsort(-scores[places], kind="stable")][:k]
        return [int(index) for index in best if scores[index] > 0]
