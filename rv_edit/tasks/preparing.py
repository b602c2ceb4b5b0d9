"""What an edit run edits and asks: a model's errors, and the suites around them."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from data_modules.bundle import DataBundle
from data_modules.qa_record import QARecord
from data_modules.records import SUITES, Edit, ImageRef, Question, RecordError
from data_modules.suites import SuiteReport, build_suites
from rv_edit.benchmark import Mined, draw_locality, error_chains, score_questions
from rv_edit.errors import ConfigError
from rv_edit.tasks.checks import EditOptions
from rv_edit.tasks.mining import mine_pool

if TYPE_CHECKING:
    from rv_edit.editors.base import Editor
    from rv_edit.vlm import VLM

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scoring:
    """How the unedited model is asked while mining, and where its answers are kept.

    Attributes:
        normalize: of the log-probabilities of a choice's tokens.
        batch_size: questions scored together.
        cache: folder of the mined scores.
        rounding: records whose two best scores lie closer than this are neither errors nor right answers: another
            batch could turn them.
        limit: stop mining once so many errors, and as many right answers, are known; ``None``: ask all records.
        seed: of the order in which records are visited, hence edits made.
        statement: the question that an error chain is found with.
        denied: probability of "no" above which a statement counts as denied.
    """

    normalize: str
    batch_size: int
    cache: Path | None
    rounding: float
    limit: int | None
    seed: int
    statement: str
    denied: float

    @classmethod
    def of(cls, cfg: DictConfig, options: EditOptions) -> Scoring:
        """From a run's configuration and its checked options."""
        return cls(
            str(cfg.scoring.normalize),
            int(cfg.scoring.batch_size),
            None if cfg.cache is None else Path(cfg.cache).expanduser(),
            options.rounding,
            options.mine_limit,
            options.seed,
            options.statement,
            options.denied,
        )


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        previous: edits already in the codebook.
        stream: edits to make.
        questions: per suite.
        unrelated: questions answered right that no suite asks, for editors that calibrate.
        mined: edits that the unedited model is known to answer wrong.
        skipped: records left out, with the reason.
        counts: whatever else was counted.
    """

    previous: tuple[Edit, ...]
    stream: tuple[Edit, ...]
    questions: Mapping[str, list[Question]]
    unrelated: tuple[Question, ...]
    mined: frozenset[str]
    skipped: tuple[tuple[str, str], ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits in force once the stream is through."""
        return self.previous + self.stream


def sample_pictures(records: Sequence[QARecord], size: int, seed: int) -> list[tuple[ImageRef, str]]:
    """Up to ``size`` readable pictures with a question each, drawn by ``seed`` alone, whatever the order of records."""
    by_sha = {record.image.sha: record for record in sorted(records, key=lambda record: record.id, reverse=True)}
    order = sorted(by_sha)
    random.Random(seed).shuffle(order)
    sample: list[tuple[ImageRef, str]] = []
    for sha in order:
        if len(sample) == size:
            break
        try:
            by_sha[sha].image.open()
        except RecordError:
            continue
        sample.append((by_sha[sha].image, by_sha[sha].question))
    return sample


def mine_errors(data: DataBundle, vlm: VLM, scoring: Scoring) -> tuple[Mined, list[str], list[str], int]:
    """Mine a data set.

    Returns:
        What was mined; ids of the errors and of the right answers that rounding cannot turn, in the order in which
        edits are made; how many records are neither.
    """
    known = "" if scoring.cache is None else f"; what was asked before is in {scoring.cache / 'scores'}"
    log.info("asking %s questions to find the errors%s", f"{len(data.records):,}", known)
    with _bar("Mining", len(data.records)) as bar:
        mined = mine_pool(vlm, data.records, scoring, lambda asked, _, errors, __: _advance(bar, asked, errors=errors))
    asked = len(mined.errors) + len(mined.correct)
    log.info("%d of %d answers are wrong (%.1f %%)", len(mined.errors), asked, 100 * mined.error_rate)
    return mined, *_clear(mined, scoring.rounding)


def prepare(data: DataBundle, vlm: VLM, editor: Editor, options: EditOptions, scoring: Scoring) -> Plan:
    """Mine, choose the edits, build the suites.

    Raises:
        ConfigError: there is nothing to edit or to ask.
    """
    records = {record.id: record for record in data.records}
    mined, errors, correct, ties = mine_errors(data, vlm, scoring)
    counts: Counter[str] = Counter({"near_ties": ties})
    previous = tuple(records[name].as_edit() for name in editor.edit_ids if name in records)
    counts["codebook_edits_not_in_data"] = len(editor.edit_ids) - len(previous)
    known = set(editor.edit_ids)
    stream = tuple(records[name].as_edit() for name in errors if name not in known)[: options.edits]
    if not previous + stream:
        raise ConfigError(f"dataset={data.name}: no error of this model to correct")
    if len(stream) < options.edits:
        log.info("dataset.edits=%d, but only %d errors are there to correct", options.edits, len(stream))
    edits = previous + stream
    right = [records[name] for name in correct]
    loc = draw_locality(edits, right, options.loc, similar_share=options.similar_share, seed=options.seed).questions
    # in sequential editing nothing is asked about an edit that no round draws
    asked = edits if options.probing is None else options.probing.ever_drawn(edits, len(previous))
    questions, report = _suites(data, vlm, asked, records, loc, scoring)
    for (suite, why), number in report.dropped.items():
        counts[f"{suite}: {why}"] = number
    for suite, number in report.empty.items():
        counts[f"{suite}: edits without a question"] = number
    shared = {question.id for question in loc} | {edit.id for edit in edits}
    reading = getattr(data.report, "skipped", ())
    return Plan(
        previous,
        stream,
        questions,
        tuple(record.as_question() for record in right if record.id not in shared),
        frozenset(errors),
        (*((str(name), str(why)) for name, why in reading), *mined.skipped),
        {name: number for name, number in counts.items() if number},
    )


def _suites(
    data: DataBundle,
    vlm: VLM,
    edits: Sequence[Edit],
    records: Mapping[str, QARecord],
    loc: Sequence[Question],
    scoring: Scoring,
) -> tuple[dict[str, list[Question]], SuiteReport]:
    def was_right(questions: Sequence[Question]) -> list[bool]:
        scored = score_questions(
            vlm, questions, normalize=scoring.normalize, cache_dir=scoring.cache, batch_size=scoring.batch_size
        )
        return [
            item.prediction == question.target and _margin(item.scores) >= scoring.rounding
            for item, question in zip(scored, questions, strict=True)
        ]

    report, chains = SuiteReport(), partial(chains_of, vlm, scoring=scoring)
    suites = build_suites(data.provider, edits, records, chains, loc, was_right=was_right, report=report)
    if data.provider is None:
        log.info("%s comes without further suites: acc and loc are asked", data.name)
    log.info("%s", ", ".join(f"{suite} {len(suites[suite])}" for suite in SUITES if suites[suite]) + " questions")
    return suites, report


def chains_of(
    vlm: VLM, edits: Sequence[Edit], scoring: Scoring, progress: Callable[[int, int], None] | None = None
) -> list[tuple[int, ...]]:
    """The error-inducing facts of each edit, as positions among its reasoning."""
    chains = error_chains(
        vlm,
        edits,
        statement=scoring.statement,
        threshold=scoring.denied,
        cache_dir=scoring.cache,
        batch_size=scoring.batch_size,
        progress=progress,
    )
    return [chain.facts for chain in chains]


def _clear(mined: Mined, rounding: float) -> tuple[list[str], list[str], int]:
    """Errors and right answers that rounding cannot turn into each other, and how many records are neither."""
    clear = {name for name, item in mined.scored.items() if _margin(item.scores) >= rounding}
    errors = [name for name in mined.errors if name in clear]
    correct = [name for name in mined.correct if name in clear]
    return errors, correct, len(mined.errors) + len(mined.correct) - len(errors) - len(correct)


def _margin(scores: Sequence[float]) -> float:
    """By how much the best of the distinct choices leads."""
    ordered = sorted(scores, reverse=True)
    return ordered[0] - ordered[1]


@contextmanager
def _bar(what: str, total: int) -> Iterator[Any]:
    """A progress bar on a terminal, nothing elsewhere."""
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit="question", disable=None, leave=False) as bar:
        yield bar


def _advance(bar: Any, done: int, **shown: int) -> None:
    bar.set_postfix(shown, refresh=False)
    bar.update(done - bar.n)
