"""Error mining (paper D.1): which records a VLM answers wrong – the edits to make – and which right.

A record's prediction is the choice with the highest score given picture and question alone; the options are not
in the prompt. Records are visited in chunks of whole pictures, in an order that depends on the data and a seed,
so that stopping early takes an unbiased sample; every chunk is cached on disk by itself. Processes that mine the same
with the same cache share the chunks among them (:mod:`rv_edit.benchmark.sharing`); what each of them returns does not
depend on how many there are.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_modules.qa_record import QARecord
from data_modules.records import Question, RecordError
from rv_edit.benchmark.asking import ask_each, decoded_batches, model_context
from rv_edit.benchmark.cache import ChunkCache, Row, digest
from rv_edit.benchmark.sharing import share
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.vlm import VLM, ImageFeatures

NORMALIZE = ("sum", "mean", "first_token")

Progress = Callable[[int, int, int, int], None]
"""Called after each chunk with: questions asked, questions in all, errors so far, right answers so far."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """How the VLM scored the choices of a question, and which it takes: the best, the first among equals."""

    question_id: str
    scores: tuple[float, ...]

    @property
    def prediction(self) -> int:
        """Index of the highest score."""
        return max(range(len(self.scores)), key=lambda index: (self.scores[index], -index))


@dataclass(frozen=True)
class Mined:
    """Ids of the records answered wrong (``errors``) and right (``correct``), in the order they were visited.

    ``scored`` has the scores of each record asked; ``skipped`` those that could not be asked (picture not
    decodable, question too long), with the reason; ``complete`` tells whether all records were asked,
    ``cached_chunks`` how many chunks came from disk.
    """

    errors: tuple[str, ...]
    correct: tuple[str, ...]
    scored: dict[str, Scored] = field(repr=False)
    skipped: tuple[tuple[str, str], ...] = ()
    complete: bool = True
    cached_chunks: int = 0

    @property
    def error_rate(self) -> float:
        """Share of wrong answers among the records asked; ``nan`` where none was."""
        asked = len(self.errors) + len(self.correct)
        return len(self.errors) / asked if asked else math.nan


def mine(
    vlm: VLM,
    records: Sequence[QARecord],
    *,
    normalize: str = "sum",
    cache_dir: str | Path | None = None,
    batch_size: int = 32,
    chunk_size: int = 256,
    limit_errors: int | None = None,
    limit_correct: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Mined:
    """Ask the VLM each record's question until enough errors *and* enough right answers were found.

    Args:
        vlm: the unedited model.
        records: the pool.
        normalize: ``sum | mean | first_token`` of the log-probabilities of a choice's tokens.
        cache_dir: folder that keeps the scores, shared by all models, data sets and options; ``None``: none.
        batch_size: questions scored, and pictures encoded, together.
        chunk_size: upper end of the questions a chunk holds, about; part of the visiting order.
        limit_errors: stop once so many errors are known; ``None``: with ``limit_correct`` also ``None``, never.
        limit_correct: likewise for right answers.
        seed: of the order in which chunks are visited; it changes no score and shares the cache.
        progress: called after each chunk.

    Raises:
        ConfigError: an unknown ``normalize``.
        RecordError: two records with the same id.
    """
    order = [record.as_question() for record in records]
    targets = {question.id: question.target for question in order}
    if len(targets) < len(order):
        raise RecordError("the pool holds two records with the same id; read it without duplicates")
    scorer = _Scorer(vlm, normalize, batch_size, cache_dir)
    errors: list[str] = []
    correct: list[str] = []
    scored: dict[str, Scored] = {}
    skipped: list[tuple[str, str]] = []
    dealt = _chunks(order, chunk_size)
    chunks = [scorer.chunk(dealt[index]) for index in np.random.default_rng(seed).permutation(len(dealt))]
    found: dict[int, list[Scored | str]] = {}
    asked = place = 0
    # Others may finish chunks out of turn: they count once all before them are there, as if one process had made all.
    enough = _enough(0, limit_errors) and _enough(0, limit_correct)
    bounded = (limit_errors, limit_correct) != (None, None)
    results = scorer.score(chunks)
    while not (bounded and enough) and place < len(chunks):
        index, rows = next(results)
        found[index] = rows
        while place in found and not (bounded and enough):
            for question, result in zip(chunks[place].questions, found.pop(place), strict=True):
                if isinstance(result, str):
                    skipped.append((question.id, result))
                    continue
                scored[question.id] = result
                (correct if result.prediction == targets[question.id] else errors).append(question.id)
            asked += len(chunks[place].questions)
            place += 1
            enough = _enough(len(errors), limit_errors) and _enough(len(correct), limit_correct)
            if progress is not None:
                progress(asked, len(order), len(errors), len(correct))
    complete = place == len(chunks)
    if skipped:
        _log.warning("mining skipped %d records, the first: %s: %s", len(skipped), *skipped[0])
    return Mined(tuple(errors), tuple(correct), scored, tuple(skipped), complete, scorer.cache.hits)


def left_to_mine(
    vlm: VLM,
    records: Sequence[QARecord],
    *,
    normalize: str = "sum",
    cache_dir: str | Path | None = None,
    chunk_size: int = 256,
) -> int:
    """Chunks of these records that no cache holds: how many processes could be of use."""
    scorer = _Scorer(vlm, normalize, 1, cache_dir)
    chunks = [scorer.chunk(chunk) for chunk in _chunks([record.as_question() for record in records], chunk_size)]
    paths = [scorer.cache.path(chunk.items) for chunk in chunks]
    return sum(path is None or not path.is_file() for path in paths)


def score_questions(
    vlm: VLM,
    questions: Sequence[Question],
    *,
    normalize: str = "sum",
    cache_dir: str | Path | None = None,
    batch_size: int = 32,
    chunk_size: int = 256,
) -> list[Scored]:
    """The unedited VLM's scores for any questions, in their order, through the same cache as :func:`mine`.

    Raises:
        RecordError: a picture cannot be decoded, or a question is too long for the model.
    """
    scorer = _Scorer(vlm, normalize, batch_size, cache_dir)
    chunks = [scorer.chunk(chunk) for chunk in _chunks(questions, chunk_size)]
    results: dict[tuple[str, str], Scored] = {}
    for index, rows in scorer.score(chunks):
        for question, result in zip(chunks[index].questions, rows, strict=True):
            if isinstance(result, str):
                raise RecordError(f"question {question.id}: {result}")
            results[question.suite, question.id] = result
    return [results[question.suite, question.id] for question in questions]


@dataclass(frozen=True)
class _Chunk:
    """Questions scored and kept together, as they are put, and what tells them from others."""

    questions: Sequence[Question]
    prompts: list[Any]
    items: list[str]


class _Scorer:
    """Scores chunks of questions, each picture encoded once, from the cache where it has them."""

    def __init__(self, vlm: VLM, normalize: str, batch_size: int, cache_dir: str | Path | None) -> None:
        if normalize not in NORMALIZE:
            raise ConfigError(f"scoring.normalize={normalize!r}: choose one of {', '.join(NORMALIZE)}")
        self.vlm, self.normalize, self.batch_size = vlm, normalize, batch_size
        context = {"kind": "scores", "normalize": normalize, **model_context(vlm)}
        self.cache = ChunkCache(None if cache_dir is None else Path(cache_dir) / "scores", context)

    def chunk(self, questions: Sequence[Question]) -> _Chunk:
        """Questions as they are put."""
        prompts = [self.vlm.format_prompt(question.text) for question in questions]
        # The prompt as put, not the question: another prompt style makes another key. No ids: they change nothing.
        items = [
            digest(question.image.sha, str(prompt), list(question.choices))
            for question, prompt in zip(questions, prompts, strict=True)
        ]
        return _Chunk(questions, prompts, items)

    def score(self, chunks: Sequence[_Chunk]) -> Iterator[tuple[int, list[Scored | str]]]:
        """Scores of each chunk, by its place; a text says why a question could not be put.

        In the order of ``chunks``, unless other processes are making some of them.
        """
        shared = share(
            range(len(chunks)),
            find=lambda place: self._find(chunks[place]),
            make=lambda place: self._make(chunks[place]),
            place=lambda place: self.cache.path(chunks[place].items),
        )
        for place, rows in shared:
            yield (
                place,
                [
                    row["unusable"] if "unusable" in row else Scored(question.id, tuple(row["scores"]))
                    for question, row in zip(chunks[place].questions, rows, strict=True)
                ],
            )

    def _find(self, chunk: _Chunk) -> list[Row] | None:
        rows = self.cache.get(chunk.items)
        return rows if rows is not None and all(map(_fits, rows, chunk.questions)) else None

    def _make(self, chunk: _Chunk) -> list[Row]:
        rows = self._ask(chunk.questions, chunk.prompts)
        self.cache.put(chunk.items, rows)
        return rows

    def _ask(self, questions: Sequence[Question], prompts: Sequence[Any]) -> list[Row]:
        rows: dict[int, Row] = {}
        for places, images, row_of in decoded_batches(
            [question.image for question in questions], self.batch_size, rows
        ):
            features = self.vlm.encode_images(images)
            picked = dict(zip(places, row_of, strict=True))

            def ask(
                part: Sequence[int], features: ImageFeatures = features, picked: dict[int, int] = picked
            ) -> list[Row]:
                scores = self.vlm.score(
                    features.pick([picked[place] for place in part]),
                    [prompts[place] for place in part],
                    [list(questions[place].choices) for place in part],
                    normalize=self.normalize,
                    batch_size=self.batch_size,
                )
                return [{"scores": [float(value) for value in result.logp]} for result in scores]

            for start in range(0, len(places), self.batch_size):
                part = places[start : start + self.batch_size]
                rows.update(zip(part, ask_each(ask, part), strict=True))
        for place, row in rows.items():
            if any(math.isnan(value) for value in row.get("scores", ())):
                raise RecordError(
                    f"question {questions[place].id}: the model scores a choice as not-a-number; check dtype"
                )
        return [rows[place] for place in range(len(questions))]


def _chunks(questions: Sequence[Question], size: int) -> list[list[Question]]:
    """Whole pictures' questions in chunks of at most about ``size``, by the leading bits of the pictures' hashes.

    Hashes order a data set at random, but always alike: no part of it comes first. As the bits alone assign a
    picture its chunk, a data set that gains or loses records keeps the chunks of the others, hence their cache.
    """
    bits = max(0, math.ceil(math.log2(max(1, len(questions)) / max(1, size))))
    buckets: dict[int, list[tuple[bytes, str, str, Question]]] = {}
    for question in questions:
        place = hashlib.sha256(question.image.sha.encode("utf-8", "replace")).digest()
        bucket = int.from_bytes(place[:8], "big") >> (64 - bits)
        buckets.setdefault(bucket, []).append((place, question.suite, question.id, question))
    return [[entry[-1] for entry in sorted(buckets[b], key=lambda entry: entry[:3])] for b in sorted(buckets)]


def _enough(found: int, limit: int | None) -> bool:
    return limit is None or found >= limit


def _fits(row: Row, question: Question) -> bool:
    """Whether a row fits its question: a text, or a score a choice."""
    scores = row.get("scores")
    return isinstance(row.get("unusable"), str) or (isinstance(scores, list) and len(scores) == len(question.choices))
