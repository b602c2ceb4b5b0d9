"""Writing all texts: many at a time, each asked for until it is good or its attempts are spent."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from data_modules.text import question_key
from rv_edit.augment import item_seed
from rv_edit.benchmark.building import parsing
from rv_edit.benchmark.building.journal import Journal, Row
from rv_edit.benchmark.building.plan import TextJob
from rv_edit.benchmark.building.requests import StoppedError, TextProvider, TextRequest, UnusableError
from rv_edit.benchmark.cache import digest

Progress = Callable[[int], None]


@dataclass
class Written:
    """What became of a job: its good texts, where each comes from, and how many are missing for which reason."""

    texts: list[Any] = field(default_factory=list)
    provenance: list[dict[str, Any]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def write_texts(
    jobs: Sequence[TextJob],
    provider: TextProvider,
    journal: Journal,
    *,
    attempts: int,
    seed: int,
    progress: Progress = lambda done: None,
) -> dict[str, Written]:
    """The texts of all jobs, by item; whatever the journal holds is taken from there.

    When one job fails for good the others are stopped, but those under way are waited for and kept.

    Raises:
        ProviderError, DiskError, ConfigError: as the provider and the journal raise them.
    """
    stop = threading.Event()

    def work(job: TextJob) -> Written:
        if stop.is_set():
            raise StoppedError
        try:
            return _write(job, provider, journal, attempts, seed, stop)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(max_workers=provider.concurrency, thread_name_prefix="texts") as pool:
        futures: dict[Future[Written], str] = {}
        try:
            futures.update({pool.submit(work, job): job.item for job in jobs})
            for _ in as_completed(futures):
                progress(1)
                if stop.is_set():
                    break
        except BaseException:  # an interrupt: what is on its way is paid for, so it is waited for and kept
            stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=stop.is_set())
    failed = [future.exception() for future in futures if not future.cancelled() and future.exception() is not None]
    for error in failed:
        if error is not None and not isinstance(error, StoppedError):
            raise error
    return {item: future.result() for future, item in futures.items()}


def text_key(job: TextJob, about: Any, seed: int) -> str:
    """What an answer is kept under: all that it depends on."""
    return digest("text", about, job.item, job.prompt, seed)


def _write(
    job: TextJob, provider: TextProvider, journal: Journal, attempts: int, seed: int, stop: threading.Event
) -> Written:
    found = Written()
    keys: set[str] = set()
    last: Counter[str] = Counter()
    for attempt in range(attempts):
        request = TextRequest(job.item, job.suite, job.prompt, item_seed(seed, job.item, attempt), job.subject)
        key = text_key(job, provider.about, request.seed)
        row = journal.get(key)
        if row is None:
            journal.check_room()
            row = journal.put(key, _asked(request, provider, stop))
        good, last = _read(job, row)
        for text in good:
            name = question_key(text) if isinstance(text, str) else repr(text)
            if len(found.texts) == job.wanted:
                break
            if name in keys:
                last[parsing.REPEATED] += 1
                continue
            keys.add(name)
            found.texts.append(text)
            found.provenance.append(
                {**provider.about, "served_by": row["served_by"], "prompt": job.prompt, "seed": request.seed,
                 "attempt": attempt}
            )  # fmt: skip
        if len(found.texts) == job.wanted or row.get("final"):
            break
    missing = job.wanted - len(found.texts)
    if missing:
        # of several objections to the last answer, the one that met most of it
        reason = max(last, key=lambda why: (last[why], why)) if last else parsing.TOO_FEW
        found.dropped[reason] = missing
    return found


def _asked(request: TextRequest, provider: TextProvider, stop: threading.Event) -> Row:
    row: Row = {"kind": "text", "suite": request.suite, "item": request.item, "seed": request.seed}
    provider.load()
    started = time.perf_counter()
    try:
        reply = provider.ask(request, stop)
    except UnusableError as error:
        return {**row, "unusable": error.reason, "final": error.final}
    return {
        **row,
        "text": reply.text,
        "tokens": [reply.tokens_in, reply.tokens_out],
        "served_by": dict(reply.served_by),
        "seconds": round(time.perf_counter() - started, 3),
    }


def _read(job: TextJob, row: Row) -> tuple[list[Any], Counter[str]]:
    """What is good in an answer, and how much is bad for which reason."""
    if "unusable" in row:
        return [], Counter({str(row["unusable"]): 1})
    try:
        return job.read(row["text"])
    except UnusableError as error:
        return [], Counter({error.reason: 1})
