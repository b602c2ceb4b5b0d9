"""``python benchmarks/pocket_results.py``: the main job on every pocket cell, and the page that compares them.

A cell is one run of ``run.py`` in a folder of its own; a cell that has its ``results.json`` is not run again unless the
model's weights or the embedded world have changed, so the command can be given again after an interruption. The page
goes to ``docs/results/pocket.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.key_layers import greatest
from benchmarks.misses import tables
from rv_edit.composing import paper_name
from rv_edit.report.comparison import paper_column

ROOT = Path(__file__).resolve().parents[1]
SUITES = ("acc", "t_gen", "i_gen", "coe_gen", "r_gen", "loc", "contrast")
HEADS = ("Acc", "T-Gen", "I-Gen", "CoE-Gen", "R-Gen", "Loc", "contrast")
TARGETS = {"acc": 0.97, "t_gen": 0.92, "i_gen": 0.92, "coe_gen": 0.92, "r_gen": 0.85, "loc": 0.99, "contrast": 0.90}
MODELS = ("pocket_llava", "pocket_instructblip", "pocket_qwen3vl")
DATASETS = {name: paper_name("dataset", name) or name for name in ("pocket_aokvqa", "pocket_fvqa")}
BALANCED = "dual key, λ by the paper's criterion"
VARIANTS = {
    "dual key": [],
    "text alone (λ = 1000)": ["editor.lam=1000"],
    "picture alone (λ = 0)": ["editor.lam=0"],
    BALANCED: [],  # and the λ that balanced() finds
    "dual key, calibrated gate": ["editor.codebook.gate=calibrated"],
    "dual key, facts keyed by crops alone": ["editor.reasoning_keys=patch"],
}
NAMES = {name: paper_name("model", name) or name for name in MODELS}


@dataclass(frozen=True)
class Cell:
    """One run."""

    model: str
    dataset: str
    variant: str

    def folder(self, out: Path) -> Path:
        """Where it runs."""
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in self.variant).strip("_")
        return out / self.model / self.dataset / name


def weights(model: str) -> Path:
    """The folder of a pocket model."""
    return ROOT / "rv_edit/pocket/weights" / model.removeprefix("pocket_")


@cache
def stamp(model: str) -> str:
    """Hash of what the figures of a cell depend on: a pocket model's weights, its choice of keys, the world's code."""
    world = sorted((ROOT / "rv_edit/pocket").glob("*.py"))
    digest = hashlib.sha256()
    for path in [*world, weights(model) / "model.safetensors", weights(model) / "key_space.json"]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def mark(cell: Cell, edits: int) -> str:
    """What a finished cell has in its ``stamp.txt``: weights and world, and how many edits."""
    return f"{stamp(cell.model)} {edits}"


def options(cell: Cell) -> list[str]:
    """The options of a cell's variant."""
    more = [f"editor.lam={balanced(cell.model)}"] if cell.variant == BALANCED else []
    return [*VARIANTS[cell.variant], *more]


def balanced(model: str) -> float:
    """The λ of greatest harmonic mean of vision and language modularity (paper 3.3), by the model's own curves."""
    return greatest(json.loads((weights(model) / "key_space.json").read_text())["curves"], "harmonic_mean")


def is_there(cell: Cell, out: Path, edits: int) -> bool:
    """Whether a cell has run, with these weights, this world and so many edits."""
    place = cell.folder(out) / "stamp.txt"
    return place.is_file() and place.read_text() == mark(cell, edits)


def run_cell(cell: Cell, out: Path, edits: int) -> None:
    """Run a cell unless it is there."""
    if is_there(cell, out, edits):
        return
    folder, current = cell.folder(out), mark(cell, edits)
    command = [sys.executable, "run.py", f"model={cell.model}", f"dataset={cell.dataset}", "experiment=locality"]
    command += [f"dataset.edits={edits}", "logger=none", "callbacks=none", f"hydra.run.dir={folder}"]
    command += options(cell)
    print(" ".join(command), flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (folder / "terminal.txt").open("w") as log:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    if done.returncode:
        print(f"{cell}: failed, see {folder / 'terminal.txt'}", flush=True)
    else:
        (folder / "stamp.txt").write_text(current)


def figure(value: Mapping[str, Any], suite: str, judged: bool) -> str:
    """Mean with its interval; bold where a target is missed."""
    if value["mean"] is None:
        return "–"
    text = f"{value['mean']:.2f}"
    text = f"**{text}**" if judged and value["mean"] < TARGETS[suite] else text
    low, high = value["ci95"]
    return text if low is None else f"{text} <sub>{low:.2f}–{high:.2f}</sub>"


def row(name: str, cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join([name, *cells]) + " |"


def section(model: str, dataset: str, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The tables of one model on one data set."""
    first = next(iter(found.values()))
    lines = [f"## `{model}` on pocket {DATASETS[dataset]}", ""]
    lines += [row("", HEADS), row("---", ["---"] * len(HEADS))]
    lines.append(row("unedited", [figure(first["before"][suite], suite, False) for suite in SUITES]))
    for variant, results in found.items():
        lines.append(row(variant, [figure(results["after"][suite], suite, True) for suite in SUITES]))
    column = paper_column(NAMES[model], DATASETS[dataset])
    for name, editor in (("unedited", "Unedited"), ("ReasonEdit", "ReasonEdit")):
        means = [f"*{column[editor][suite].mean:.2f}*" for suite in SUITES if suite in column[editor]]
        lines.append(row(f"*paper, {NAMES[model]}: {name}*", [*means, ""]))
    asked = ", ".join(f"{head} {first['after'][suite]['n']}" for head, suite in zip(HEADS, SUITES, strict=True))
    lines += ["", f"Questions: {asked}.", ""]
    lines += [row("accepted by the gate", [*HEADS, "keys an edit", "KB an edit", "s an edit"])]
    lines += [row("---", ["---"] * (len(HEADS) + 3))]
    for variant, results in found.items():
        rates = ["–" if (rate := results["accept_rate"][suite]) is None else f"{rate:.2f}" for suite in SUITES]
        costs = [
            f"{results['keys_per_edit']:.1f}",
            f"{results['kb_per_edit']:.1f}",
            f"{results['seconds_per_edit']:.2f}",
        ]
        lines.append(row(variant, [*rates, *costs]))
    return [*lines, ""]


def main() -> None:
    """Run what is missing, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("outputs/pocket_results"))
    parser.add_argument("--page", type=Path, default=ROOT / "docs/results/pocket.md")
    parser.add_argument("--models", nargs="+", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, one thread each")
    args = parser.parse_args()
    out = args.out.resolve()
    cells = [Cell(m, d, v) for v in args.variants for m in args.models for d in args.datasets]
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda cell: run_cell(cell, out, args.edits), cells))
    said = [f"--edits {args.edits}"]
    said += [f"--models {' '.join(args.models)}"] if args.models != list(NAMES) else []
    said += ["--variants " + " ".join(f'"{v}"' for v in args.variants)] if args.variants != list(VARIANTS) else []
    said += [f"--page docs/results/{args.page.name}"] if args.page.name != "pocket.md" else []
    lines = [
        "# ReasonEdit on the embedded world",
        "",
        f"Written by `python benchmarks/pocket_results.py {' '.join(said)}`; a cell is one run of `run.py`.",
        "Means over questions with 95 % bootstrap intervals over edits. Bold: below what the project asks for. Rows",
        "in italics are the paper's Table 1, on a model of 7 billion parameters and photographs: a yardstick for the",
        "shape of the result, not for its height.",
        "",
    ]
    for model in args.models:
        for dataset in args.datasets:
            there = [v for v in args.variants if is_there(Cell(model, dataset, v), out, args.edits)]
            places = {v: Cell(model, dataset, v).folder(out) for v in there}
            found = {v: json.loads((place / "results.json").read_text()) for v, place in places.items()}
            if found:
                lines += section(model, dataset, found)
                lines += [f"Stamp of weights and world: `{stamp(model)}`.", ""]
                if "dual key" in found:
                    run = places["dual key"]
                    lines += [
                        "Right answers by what was retrieved of the question's own edit, dual key:",
                        "",
                        *tables(run),
                    ]
    notes = args.page.with_name(f"{args.page.stem}_notes.md")
    if notes.is_file():
        lines += [notes.read_text().rstrip(), ""]
    args.page.parent.mkdir(parents=True, exist_ok=True)
    temporary = args.page.with_suffix(".tmp")
    temporary.write_text("\n".join(lines))
    os.replace(temporary, args.page)
    print(args.page)


if __name__ == "__main__":
    main()
