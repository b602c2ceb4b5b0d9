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
        writing: per suite, seconds of a call; of use where the language model runs on this machine.
        seconds: per image model, of a picture.
        pictures: per image model, pictures an item that was drawn.
        looking: seconds of a question to the checker (``check``) and of a caption (``caption``).
    """

    tokens: dict[str, tuple[float, float]] = field(default_factory=dict)
    calls: dict[str, float] = field(default_factory=dict)
    writing: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, float] = field(default_factory=dict)
    looking: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """Counts for so many edits, if everything succeeds at once.

    Attributes:
        edits: how many.
        calls: text calls by suite.
        tokens_in, tokens_out: of all calls; ``None``: not known before one was made.
        pictures: by image model.
        hours: of a GPU by image model; ``None``: not known before a picture was made.
        others: of a GPU for ``texts``, ``checks`` and ``captions``, as far as models on this machine make them;
            ``None`` as above.
        checks: questions to the checker.
        captions: pictures that the checker describes.
        statements: put to the edited model for the chains of error, at most.
    """

    edits: int
    calls: Mapping[str, int]
    tokens_in: int
    tokens_out: int | None
    pictures: Mapping[str, int]
    hours: Mapping[str, float | None]
    others: Mapping[str, float | None]
    checks: int
    captions: int
    statements: int

    def lines(self, regenerations: int, attempts: int) -> list[str]:
        """What a user reads."""
        calls = ", ".join(f"{suite} {number:,}" for suite, number in self.calls.items() if number)
        out = "out not known yet" if self.tokens_out is None else f"{self.tokens_out:,} out"
        said = [
            f"{self.edits:,} edits",
            f"text calls: {sum(self.calls.values()):,} ({calls}), at most {attempts} times as many",
            f"tokens: about {self.tokens_in:,} in, {out}",
        ]
        if "texts" in self.others:
            said.append(f"texts of the model on this machine: {_told(self.others['texts'])}")
        for model, number in self.pictures.items():
            told = _told(self.hours[model], f", or give task.images.{model}.seconds_per_image")
            said.append(f"pictures of {model}: {number:,}, at most {regenerations + 1} times as many; {told}")
        told = f"; {_told(self.others['checks'])}" if self.checks else ""
        said.append(f"questions to the checker: {self.checks:,}, at most {regenerations + 1} times as many{told}")
        if self.captions:
            said.append(f"captions by the checker: {self.captions:,}; {_told(self.others['captions'])}")
        if self.statements:
            said.append(f"statements to the edited model: at most {self.statements:,}")
        everything = [*self.hours.values(), *self.others.values()]
        known = [hours for hours in everything if hours is not None]
        if known and len(known) == len(everything):
            said.append(f"GPU hours together: about {sum(known):,.2f}; what the edited model takes is not counted")
        return said


def _told(hours: float | None, way_out: str = "") -> str:
    if hours is None:
        return f"GPU hours not known: build a few edits first{way_out}"
    return f"about {hours:,.2f} GPU hours"


def measure(rows: Iterable[Mapping[str, Any]]) -> Measured:
    """What calls and pictures cost so far, from the rows of a journal."""
    tokens: dict[str, list[tuple[int, int]]] = {}
    seconds: dict[str, list[float]] = {}
    writing: dict[str, list[float]] = {}
    looking: dict[str, list[float]] = {}
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
            if "seconds" in row:
                writing.setdefault(suite, []).append(float(row["seconds"]))
        elif row.get("kind") == "image":
            model = str(row["model"])
            seconds.setdefault(model, []).append(float(row["seconds"]))
            asked.setdefault(f"image {model}", set()).add(row["item"])
        elif row.get("kind") in ("check", "caption") and "seconds" in row:
            looking.setdefault(str(row["kind"]), []).append(float(row["seconds"]))
    return Measured(
        {suite: (_mean([a for a, _ in pairs]), _mean([b for _, b in pairs])) for suite, pairs in tokens.items()},
        {suite: number / len(asked[suite]) for suite, number in calls.items()},
        {suite: _mean(values) for suite, values in writing.items()},
        {model: _mean(values) for model, values in seconds.items()},
        {model: len(values) / len(asked[f"image {model}"]) for model, values in seconds.items()},
        {kind: _mean(values) for kind, values in looking.items()},
    )


def estimate(
    plans: Sequence[EditPlan],
    settings: BuildSettings,
    models: Mapping[str, float | None],
    measured: Measured,
    *,
    checked: bool,
    described: bool = False,
    written_here: bool = False,
    edits: int | None = None,
) -> Estimate:
    """Count what the plans need and scale it to ``edits``.

    Args:
        plans: a sample of edits, each with as long a chain as is expected.
        settings: the options.
        models: seconds a picture by image model, as the user gave them.
        measured: what was measured; it wins over everything else.
        checked: whether pictures are looked at.
        described: whether the checker describes pictures without a caption.
        written_here: whether texts take this machine's GPU.
        edits: how many will be made; ``None``: the plans themselves.
    """
    calls: Counter[str] = Counter(dict.fromkeys(BUILT, 0))
    pictures: Counter[str] = Counter(dict.fromkeys(models, 0))
    tokens_in = 0.0
    tokens_out: float | None = 0.0
    writing: float | None = 0.0
    for plan in plans:
        jobs = text_jobs(plan, settings)
        for job in jobs:
            times = measured.calls.get(job.suite, 1.0)
            calls[job.suite] += 1
            known = measured.tokens.get(job.suite)
            tokens_in += times * (known[0] if known else len(job.prompt) / CHARACTERS_A_TOKEN)
            tokens_out = None if known is None or tokens_out is None else tokens_out + times * known[1]
            one = measured.writing.get(job.suite)
            writing = None if one is None or writing is None else writing + times * one
        written = {job.item: [""] * job.wanted for job in jobs}
        for drawn in picture_jobs(plan, settings, list(models), written):
            pictures[drawn.model] += 1
    scale = 1.0 if edits is None or not plans else edits / len(plans)
    captions = len({plan.edit.image.sha for plan in plans if not plan.caption}) if described else 0
    checks = sum(pictures.values()) if checked else 0
    chained = "coe_gen" in settings.suites
    statements = sum(2 ** len(plan.edit.reasoning) - 1 for plan in plans) if chained else 0
    # Every picture that is made is looked at: as many times as it is made anew, as far as that is known.
    looked = sum(number * measured.pictures.get(model, 1.0) for model, number in pictures.items()) if checked else 0
    drawing = {
        model: _product(number * measured.pictures.get(model, 1.0), measured.seconds.get(model, models[model]))
        for model, number in pictures.items()
    }
    others: dict[str, float | None] = {"texts": writing} if written_here else {}
    if checks:
        others["checks"] = _product(looked, measured.looking.get("check"))
    if captions:
        others["captions"] = _product(captions, measured.looking.get("caption"))
    return Estimate(
        round(len(plans) * scale),
        {suite: round(number * scale) for suite, number in calls.items()},
        round(tokens_in * scale),
        None if tokens_out is None else round(tokens_out * scale),
        {model: round(number * scale) for model, number in pictures.items()},
        {model: _product(scale / 3600, seconds) for model, seconds in drawing.items()},
        {what: _product(scale / 3600, seconds) for what, seconds in others.items()},
        round(checks * scale),
        round(captions * scale),
        round(statements * scale),
    )


def _product(number: float, seconds: float | None) -> float | None:
    return None if seconds is None else number * seconds


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
