"""``python benchmarks/tuning.py``: the learning rates that the paper's text lost, by the same search for every editor.

Every editor that trains gets the same rates, edits and questions, on the tuning split, of which no result is ever
reported. A rate's score is the mean of Acc, T-Gen, I-Gen and Loc over the data sets: what all editors set out to do.
What this project is about, R-Gen and CoE-Gen, is not looked at. The best rate goes into ``conf/editor`` by hand.

A trial is one run of ``run.py`` in a folder of its own; one that has its ``results.json`` is not run again, so the
command can be given again after an interruption. The page goes to ``docs/results/tuning.md``. MEND's network is trained
on errors of the same split, so its figures here are better than on questions that it never saw; its rates compare.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parents[1]
OPTION = "training.lr"
"""What is searched; editors without it are not tuned."""
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
JUDGED = ("acc", "t_gen", "i_gen", "loc")
SHOWN = {"acc": "Acc", "t_gen": "T-Gen", "i_gen": "I-Gen", "loc": "Loc"}
BUDGET = ("+dataset.source.split=tune", "dataset.loc_random=50", "dataset.loc_similar=50")


@dataclass(frozen=True)
class Trial:
    """One editor with one rate on one data set."""

    editor: str
    rate: float
    model: str
    dataset: str

    def folder(self, out: Path) -> Path:
        """Where it runs."""
        return out / self.model / self.dataset / self.editor / f"{self.rate:g}"

    def result(self, out: Path) -> dict[str, Any] | None:
        """What came out, once it is there."""
        place = self.folder(out) / "results.json"
        found: dict[str, Any] | None = json.loads(place.read_text()) if place.is_file() else None
        return found


def tunable() -> list[str]:
    """The editors that have the option."""
    paths = sorted((ROOT / "conf/editor").glob("*.yaml"))
    return [path.stem for path in paths if OmegaConf.select(OmegaConf.load(path), OPTION) is not None]


def run_trial(trial: Trial, out: Path, edits: int) -> None:
    """Run it unless it is there."""
    folder = trial.folder(out)
    if trial.result(out) is not None:
        return
    command = [sys.executable, "run.py", f"model={trial.model}", f"dataset={trial.dataset}", f"editor={trial.editor}"]
    command += [f"editor.{OPTION}={trial.rate:g}", f"dataset.edits={edits}", *BUDGET]
    command += ["logger=none", "callbacks=none", f"hydra.run.dir={folder}"]
    print(" ".join(command), flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "terminal.txt").open("w") as log:
        done = subprocess.run(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    if done.returncode:
        print(f"{trial}: failed, see {folder / 'terminal.txt'}", flush=True)


def score(results: Sequence[dict[str, Any]], edits: int) -> float:
    """Mean of the judged suites over the data sets; an edit that diverged counts as wrong in all but Loc."""
    values = []
    for found in results:
        made = min(1.0, found["edits"] / edits)
        for suite in JUDGED:
            mean = found["after"][suite]["mean"]
            values.append(0.0 if mean is None else mean if suite == "loc" else mean * made)
    return sum(values) / len(values)


def best(scores: dict[float, float]) -> float:
    """The rate with the highest score; the lower one of equals."""
    return max(sorted(scores), key=lambda rate: scores[rate])


def section(editor: str, trials: dict[float, list[dict[str, Any]]], datasets: Sequence[str], edits: int) -> list[str]:
    """The table of one editor."""
    heads = [f"{dataset} {SHOWN[suite]}" for dataset in datasets for suite in JUDGED]
    scores = {rate: score(found, edits) for rate, found in trials.items()}
    lines = [f"## `{editor}`: {best(scores):g}", ""]
    lines += [
        f"| {OPTION} | score | {' | '.join(heads)} | edits that diverged |",
        f"| --- |{' --- |' * (len(heads) + 2)}",
    ]
    for rate, found in sorted(trials.items()):
        means = [result["after"][suite]["mean"] for result in found for suite in JUDGED]
        cells = ["–" if mean is None else f"{mean:.2f}" for mean in means]
        lost = sum(max(0, edits - result["edits"]) for result in found)
        text = f"**{scores[rate]:.3f}**" if rate == best(scores) else f"{scores[rate]:.3f}"
        lines.append(f"| {rate:g} | {text} | {' | '.join(cells)} | {lost} |")
    return [*lines, ""]


def main() -> None:
    """Run what is missing, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/tuning"))
    parser.add_argument("--page", type=Path, default=ROOT / "docs/results/tuning.md")
    parser.add_argument("--editors", nargs="+", default=tunable())
    parser.add_argument("--model", default="pocket_llava")
    parser.add_argument("--datasets", nargs="+", default=["pocket_aokvqa", "pocket_fvqa"])
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--edits", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time, one thread each")
    args = parser.parse_args()
    out = args.out.resolve()
    trials = [Trial(e, r, args.model, d) for e in args.editors for r in args.rates for d in args.datasets]
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda trial: run_trial(trial, out, args.edits), trials))
    lines = [
        "# Learning rates, by the same search for every editor",
        "",
        f"Written by `python benchmarks/tuning.py --edits {args.edits}` with `{args.model}`: {len(args.rates)} rates,",
        f"{args.edits} edits a data set, on the tuning split. The score is the mean of all the columns behind it, an",
        "edit that diverged being wrong; bold is the best.",
        "",
    ]
    for editor in args.editors:
        found = {rate: [Trial(editor, rate, args.model, d).result(out) for d in args.datasets] for rate in args.rates}
        whole = {rate: [one for one in results if one] for rate, results in found.items() if all(results)}
        if whole:
            lines += section(editor, whole, args.datasets, args.edits)
    args.page.parent.mkdir(parents=True, exist_ok=True)
    temporary = args.page.with_suffix(".tmp")
    temporary.write_text("\n".join(lines))
    os.replace(temporary, args.page)
    print(args.page)


if __name__ == "__main__":
    main()
