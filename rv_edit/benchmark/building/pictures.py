"""Making all pictures, and making those anew that are blank or do not show what they should (appendix B).

Models take turns: in each round every image model makes its pictures, then the checker looks at them. So only one of
them needs room at a time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rv_edit.augment import item_seed
from rv_edit.benchmark.building.journal import Journal, Row
from rv_edit.benchmark.building.plan import PictureJob
from rv_edit.benchmark.building.requests import Checker, ImageProvider, ImageRequest, UnusableError
from rv_edit.benchmark.building.store import PictureStore, is_blank
from rv_edit.benchmark.cache import digest

BLANK = "a blank picture, as safety filters return it"
NOT_SHOWN = "does not show its text"
UNCHECKED = "its text is too long to be checked"
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Drawn:
    """What became of a job: a picture and where it comes from, or why there is none (``dropped``)."""

    picture: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    dropped: str | None = None


@dataclass(frozen=True)
class Quality:
    """What a picture must pass.

    Attributes:
        regenerations: times that it is made anew before it is dropped.
        threshold: probability of "yes" that it must exceed.
        spread: differences of colour up to which it counts as blank, of 255.
        batch_size: pictures looked at together.
    """

    regenerations: int
    threshold: float
    spread: int
    batch_size: int


class Studio:
    """Makes and checks pictures.

    Args:
        providers: the image models by name.
        checker: looks at the pictures; ``None``: nobody does.
        store: where pictures go.
        journal: what was made already.
        quality: what they must pass.
        seed: of everything drawn.
        release: drop each model when its turn is over.
    """

    def __init__(
        self,
        providers: Mapping[str, ImageProvider],
        checker: Checker | None,
        store: PictureStore,
        journal: Journal,
        quality: Quality,
        *,
        seed: int,
        release: bool = True,
    ) -> None:
        self.providers, self.checker, self.store, self.journal = providers, checker, store, journal
        self.quality, self.seed, self.release = quality, seed, release

    def draw(self, jobs: Sequence[PictureJob], progress: Progress = lambda done: None) -> dict[str, Drawn]:
        """A picture for each job, by item; ``progress`` hears of pictures that are done with.

        Raises:
            ConfigError, DiskError: a model cannot be used, or nothing can be kept.
        """
        done: dict[str, Drawn] = {}
        pending = list(jobs)
        for attempt in range(self.quality.regenerations + 1):
            rows = {job.item: self._kept(job, attempt) for job in pending}
            for name, provider in self.providers.items():
                todo = [job for job in pending if job.model == name and rows[job.item] is None]
                for start in range(0, len(todo), provider.batch_size):
                    part = todo[start : start + provider.batch_size]
                    rows.update(self._paint(provider, part, attempt))
                if todo and self.release:
                    provider.release()
            seen = self._check([(job, row) for job in pending if (row := rows[job.item]) and "unusable" not in row])
            failed = []
            for job in pending:
                row = rows[job.item] or {}
                done[job.item] = self._verdict(job, row, attempt, seen.get(job.item))
                if done[job.item].dropped is not None and not row.get("final"):
                    failed.append(job)
            progress(len(pending) - len(failed))
            pending = failed
        progress(len(pending))
        return done

    def _request(self, job: PictureJob, attempt: int) -> ImageRequest:
        seed = item_seed(self.seed, job.item, "picture", attempt)
        return ImageRequest(job.item, job.suite, job.prompt, seed, job.index, job.subject)

    def _key(self, job: PictureJob, attempt: int) -> str:
        request = self._request(job, attempt)
        return digest("image", self.providers[job.model].about, job.item, job.prompt, request.seed)

    def _kept(self, job: PictureJob, attempt: int) -> Row | None:
        row = self.journal.get(self._key(job, attempt))
        return row if row is not None and ("unusable" in row or self.store.has(row)) else None

    def _paint(self, provider: ImageProvider, jobs: Sequence[PictureJob], attempt: int) -> dict[str, Row]:
        self.journal.check_room()
        provider.load()
        started = time.perf_counter()
        images = provider.paint([self._request(job, attempt) for job in jobs])
        seconds = round((time.perf_counter() - started) / len(jobs), 3)
        rows: dict[str, Row] = {}
        for job, image in zip(jobs, images, strict=True):
            row: Row = {"kind": "image", "suite": job.suite, "item": job.item, "model": job.model, "seconds": seconds}
            if isinstance(image, UnusableError):
                row |= {"unusable": image.reason, "final": image.final}
            elif is_blank(image, self.quality.spread):
                row |= {"unusable": BLANK, "final": False}
            else:
                row |= self.store.save(image)
            rows[job.item] = self.journal.put(self._key(job, attempt), row)
        return rows

    def _check(self, made: Sequence[tuple[PictureJob, Row]]) -> dict[str, float]:
        """The probability that each picture shows its text, by item; nothing where nobody checks."""
        if self.checker is None:
            return {}
        seen: dict[str, float] = {}
        todo: list[tuple[PictureJob, Row, str]] = []
        for job, row in made:
            key = digest("check", self.checker.about, row["sha"], job.prompt)
            kept = self.journal.get(key)
            if kept is None:
                todo.append((job, row, key))
            else:
                seen[job.item] = _number(kept["p_yes"])
        for start in range(0, len(todo), self.quality.batch_size):
            part = todo[start : start + self.quality.batch_size]
            self.journal.check_room()
            images = [self.store.open(row) for _, row, _ in part]
            self.checker.load()
            started = time.perf_counter()
            found = self.checker.shows(images, [job.prompt for job, _, _ in part])
            seconds = round((time.perf_counter() - started) / len(part), 3)
            for (job, _, key), p_yes in zip(part, found, strict=True):
                known = None if math.isnan(p_yes) else p_yes
                self.journal.put(key, {"kind": "check", "item": job.item, "p_yes": known, "seconds": seconds})
                seen[job.item] = p_yes
        if todo and self.release:
            self.checker.release()
        return seen

    def _verdict(self, job: PictureJob, row: Row, attempt: int, p_yes: float | None) -> Drawn:
        if "unusable" in row:
            return Drawn(dropped=str(row["unusable"]))
        if p_yes is not None and not p_yes > self.quality.threshold:
            return Drawn(dropped=UNCHECKED if math.isnan(p_yes) else NOT_SHOWN)
        provenance = {
            "name": job.model,
            **self.providers[job.model].about,
            "prompt": job.prompt,
            "seed": self._request(job, attempt).seed,
            "attempt": attempt,
            "p_shown": p_yes,
            "checked_by": None if self.checker is None else dict(self.checker.about),
        }
        return Drawn({name: row[name] for name in ("file", "sha", "bytes")}, provenance)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
