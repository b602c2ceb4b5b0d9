"""What a build will cost, before anything is paid for; and what it did cost, from the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rv_edit.benchmark.building.plan import EditPlan, picture_jobs, text_jobs
from rv_edit.benchmark.building.settings import BUILT, BuildSettings

CHARACTERS_A_TOKEN = 4
"""A rule of thumb for English; the services' own counts replace it once there are some."""


@dataclass
class Measured:
    """Means over what the journal holds; empty where it holds nothing of the kind.

    Attributes:
        tokens: per suite, tokens in and out of a call.
        calls: per suite, calls an item that was asked for.
        seconds: per image model, of a picture.
        pictures: per image model, pictures an item that was drawn.
    """

    tokens: dict[str, tuple[float, float]] = field(default_factory=dict)
    calls: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """Counts for so many edits, if everything succeeds at once.

    Attributes:
        edits: how many.
        calls: text calls by suite.
        tokens_in, tokens_out: of all calls; ``None``: not known before one was made.
        pictures: by image model.
        hours: of a GPU by image model; ``None``: not known before a picture was made.
        checks: questions to the checker.
    """

    edits: int
    calls: Mapping[str, int]
    tokens_in: int
    tokens_out: int | None
    pictures: Mapping[str, int]
    hours: Mapping[str, float | None]
    checks: int

    def lines(self, regenerations: int, attempts: int) -> list[str]:
        """What a user reads."""
        calls = ", ".join(f"{suite} {number:,}" for suite, number in self.calls.items() if number)
        out = "out not known yet" if self.tokens_out is None else f"{self.tokens_out:,} out"
        said = [
            f"{self.edits:,} edits",
            f"text calls: {sum(self.calls.values()):,} ({calls}), at most {attempts} times as many",
            f"tokens: about {self.tokens_in:,} in, {out}",
        ]
        for model, number in self.pictures.items():
            hours = self.hours[model]
            told = (
                f"GPU hours not known: build a few edits first, or give task.images.{model}.seconds_per_image"
                if hours is None
                else f"about {hours:,.2f} GPU hours"
            )
            said.append(f"pictures of {model}: {number:,}, at most {regenerations + 1} times as many; {told}")
        said.append(f"questions to the checker: {self.checks:,}, at most {regenerations + 1} times as many")
        return said


def measure(rows: Iterable[Mapping[str, Any]]) -> Measured:
    """What calls and pictures cost so far, from the rows of a journal."""
    tokens: dict[str, list[tuple[int, int]]] = {}
    seconds: dict[str, list[float]] = {}
    asked: dict[str, set[str]] = {}
    calls: Counter[str] = Counter()
    for row in rows:
        if row.get("kind") == "text":
            suite = str(row["suite"])
            calls[suite] += 1
            asked.setdefault(suite, set()).add(row["item"])
            used = [count for count in row.get("tokens") or () if isinstance(count, int)]
            if len(used) == 2:
                tokens.setdefault(suite, []).append((used[0], used[1]))
        elif row.get("kind") == "image":
            model = str(row["model"])
            seconds.setdefault(model, []).append(float(row["seconds"]))
            asked.setdefault(f"image {model}", set()).add(row["item"])
    return Measured(
        {suite: (_mean([a for a, _ in pairs]), _mean([b for _, b in pairs])) for suite, pairs in tokens.items()},
        {suite: number / len(asked[suite]) for suite, number in calls.items()},
        {model: _mean(values) for model, values in seconds.items()},
        {model: len(values) / len(asked[f"image {model}"]) for model, values in seconds.items()},
    )


def estimate(
    plans: Sequence[EditPlan],
    settings: BuildSettings,
    models: Mapping[str, float | None],
    measured: Measured,
    *,
    checked: bool,
    edits: int | None = None,
) -> Estimate:
    """Count what the plans need and scale it to ``edits``.

    Args:
        plans: a sample of edits, each with as long a chain as is expected.
        settings: the options.
        models: seconds a picture by image model, as the user gave them.
        measured: what was measured; it wins over everything else.
        checked: whether pictures are looked at.
        edits: how many will be made; ``None``: the plans themselves.
    """
    calls: Counter[str] = Counter(dict.fromkeys(BUILT, 0))
    pictures: Counter[str] = Counter(dict.fromkeys(models, 0))
    tokens_in = 0.0
    tokens_out: float | None = 0.0
    for plan in plans:
        jobs = text_jobs(plan, settings)
        for job in jobs:
            times = measured.calls.get(job.suite, 1.0)
            calls[job.suite] += 1
            known = measured.tokens.get(job.suite)
            tokens_in += times * (known[0] if known else len(job.prompt) / CHARACTERS_A_TOKEN)
            tokens_out = None if known is None or tokens_out is None else tokens_out + times * known[1]
        written = {job.item: [""] * job.wanted for job in jobs}
        for drawn in picture_jobs(plan, settings, list(models), written):
            pictures[drawn.model] += 1
    scale = 1.0 if edits is None or not plans else edits / len(plans)
    hours: dict[str, float | None] = {}
    for model, given in models.items():
        seconds = measured.seconds.get(model, given)
        again = measured.pictures.get(model, 1.0)
        hours[model] = None if seconds is None else pictures[model] * scale * again * seconds / 3600
    return Estimate(
        round(len(plans) * scale),
        {suite: round(number * scale) for suite, number in calls.items()},
        round(tokens_in * scale),
        None if tokens_out is None else round(tokens_out * scale),
        {model: round(number * scale) for model, number in pictures.items()},
        hours,
        round(sum(pictures.values()) * scale) if checked else 0,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
