"""The page and the table of a search for learning rates: every trial, and for each editor the best rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JUDGED = ("acc", "t_gen", "i_gen", "loc")
SHOWN = {"acc": "Acc", "t_gen": "T-Gen", "i_gen": "I-Gen", "loc": "Loc"}


@dataclass(frozen=True)
class Trial:
    """One editor with one rate on one data set: its ``results.json``, or why there is none."""

    editor: str
    rate: float
    dataset: str
    results: Mapping[str, Any] | None = None
    reason: str | None = None

    @property
    def means(self) -> list[float | None]:
        """Of the judged suites; ``None`` where one was not asked."""
        return [None if self.results is None else self.results["after"][suite]["mean"] for suite in JUDGED]

    @property
    def diverged(self) -> int:
        """Edits that did; they stay in the means."""
        return 0 if self.results is None else int(self.results["error_counts"].get("edits_diverged", 0))


def score(trials: Sequence[Trial]) -> float | None:
    """Mean of the judged suites over data sets, as far as they were asked; ``None`` where a trial is missing."""
    if not trials or any(trial.results is None for trial in trials):
        return None
    values = [mean for trial in trials for mean in trial.means if mean is not None]
    return sum(values) / len(values) if values else None


def scores(trials: Sequence[Trial]) -> dict[str, dict[float, float]]:
    """Editor -> rate -> score, of those rates that every data set has been tried with."""
    found: dict[str, dict[float, float]] = {}
    for editor in dict.fromkeys(trial.editor for trial in trials):
        for rate in sorted({trial.rate for trial in trials}):
            value = score([trial for trial in trials if (trial.editor, trial.rate) == (editor, rate)])
            if value is not None:
                found.setdefault(editor, {})[rate] = value
    return found


def best(of: Mapping[float, float]) -> float:
    """The rate with the highest score; the lower one of equals.

    >>> best({0.1: 0.5, 0.01: 0.5, 1.0: 0.2})
    0.01
    """
    return max(sorted(of), key=lambda rate: of[rate])


def page(trials: Sequence[Trial], edits: int, loc: int, model: str, command: str) -> str:
    """The whole page."""
    rates = sorted({trial.rate for trial in trials})
    done = sum(trial.results is not None for trial in trials)
    lines = [
        "# Learning rates, by the same search for every editor",
        "",
        f"Written by `{command}` with `{model}`: for every editor the same {len(rates)} rates, {edits} edits and {loc}",
        "questions of Loc a data set, on the tuning split without what MEND is trained on. The score is the mean of",
        "Acc, T-Gen, I-Gen and Loc over the data sets; an edit that diverged stays in the mean. R-Gen and CoE-Gen are",
        f"not looked at. {done} of {len(trials)} trials are there; `tuning.csv` has them all.",
        "",
        "| editor | best rate | score | rates tried |",
        "| --- | --- | --- | --- |",
    ]
    found = scores(trials)
    for editor in dict.fromkeys(trial.editor for trial in trials):
        own = found.get(editor, {})
        if not own:
            lines.append(f"| `{editor}` | – | – | 0 of {len(rates)} |")
            continue
        top = best(own)
        edge = ", at the edge of the grid" if len(own) == len(rates) > 1 and top in (rates[0], rates[-1]) else ""
        lines.append(f"| `{editor}` | {top:g}{edge} | {own[top]:.3f} | {len(own)} of {len(rates)} |")
    for editor in found:
        lines += ["", *_section([trial for trial in trials if trial.editor == editor], found[editor])]
    failed = [trial for trial in trials if trial.results is None and trial.reason]
    if failed:
        lines += ["", "## Trials that failed", ""]
        lines += [f"- `{one.editor}` {one.rate:g}, `{one.dataset}`: {one.reason}" for one in failed]
    return "\n".join([*lines, ""])


def _section(trials: Sequence[Trial], own: Mapping[float, float]) -> list[str]:
    """The table of one editor."""
    datasets = list(dict.fromkeys(trial.dataset for trial in trials))
    heads = [f"{dataset} {SHOWN[suite]}" for dataset in datasets for suite in JUDGED]
    lines = [f"## `{trials[0].editor}`", "", f"| rate | score | {' | '.join(heads)} | diverged | s an edit |"]
    lines.append(f"| --- |{' --- |' * (len(heads) + 3)}")
    for rate in sorted({trial.rate for trial in trials}):
        here = {trial.dataset: trial for trial in trials if trial.rate == rate}
        if all(trial.results is None for trial in here.values()):
            continue
        cells = ["–" if mean is None else f"{mean:.2f}" for name in datasets for mean in here[name].means]
        mark = "–" if rate not in own else f"**{own[rate]:.3f}**" if rate == best(own) else f"{own[rate]:.3f}"
        known = [trial.results for trial in here.values() if trial.results is not None]
        times = [result["seconds_per_edit"] for result in known if result["seconds_per_edit"] is not None]
        seconds = f"{sum(times) / len(times):.2f}" if times else "–"
        lost = sum(trial.diverged for trial in here.values())
        lines.append(f"| {rate:g} | {mark} | {' | '.join(cells)} | {lost} | {seconds} |")
    return lines


def trial_rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Every trial as a plain row."""
    rows = []
    for trial in trials:
        row: dict[str, Any] = {"editor": trial.editor, "rate": trial.rate, "dataset": trial.dataset}
        for suite, mean in zip(JUDGED, trial.means, strict=True):
            row[suite] = mean
        found = trial.results or {}
        row |= {
            "edits": found.get("config", {}).get("dataset", {}).get("edits"),
            "edits_diverged": trial.diverged,
            "seconds_per_edit": found.get("seconds_per_edit"),
            "commit": found.get("git_hash"),
            "failed": trial.reason if trial.results is None else None,
        }
        rows.append(row)
    return rows
