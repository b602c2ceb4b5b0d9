"""``python benchmarks/key_layers.py``: editing with the dual embedding, the best vision and the best language layer.

The ablation of the paper's Fig. 5a. The single layers are those of greatest vision and greatest language modularity
in the ``layers.csv`` of a topology run, λ = 0; the dual embedding is that run's own choice, and once more with the λ of
greatest bimodal modularity. Each kind of keys is one
run of ``run.py`` in a folder of its own; one that has its ``results.json`` is not run again. The figure and its table
go beside the runs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SUITES = {"acc": "Acc", "t_gen": "T-Gen", "i_gen": "I-Gen", "coe_gen": "CoE-Gen", "r_gen": "R-Gen", "loc": "Loc"}
SUITES["contrast"] = "contrast"


def call(folder: Path, *options: str) -> None:
    """``run.py`` into a folder; what it says goes there too.

    Raises:
        RuntimeError: it failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "run.py", "logger=none", *options, f"hydra.run.dir={folder}"]
    print(" ".join(command), flush=True)
    with (folder / "terminal.txt").open("w") as log:
        done = subprocess.run(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    if done.returncode:
        raise RuntimeError(f"failed, see {folder / 'terminal.txt'}")


def topology(out: Path, model: str, dataset: str, options: Sequence[str] = ()) -> Path:
    """The folder of the topology run, which is made where its artefact is missing."""
    folder = out / model / dataset / "topology"
    if not (folder / "key_space.json").is_file():
        call(folder, "task=topology", f"model={model}", f"dataset={dataset}", *options)
    return folder


def best(rows: Sequence[Mapping[str, str]], block: str) -> Mapping[str, str]:
    """The layer and pooling of a block with the greatest modularity of its own kind."""
    return max((row for row in rows if row["block"] == block), key=lambda row: float(row[f"{block}_modularity_mean"]))


def greatest(curves: Mapping[str, Any], measure: str) -> float:
    """The λ at which a measure of a topology run's ``curves`` is greatest."""
    return float(max(curves["balance"], key=lambda row: float(row[measure]))["lam"])


def kinds(folder: Path) -> dict[str, tuple[str, str]]:
    """What each kind of keys is called -> the name of its runs' folders, and the option that makes it."""
    rows = list(csv.DictReader((folder / "layers.csv").read_text().splitlines()))
    artefact = json.loads((folder / "key_space.json").read_text())
    layer = artefact["layer"]
    bimodal = greatest(artefact["curves"], "bimodal_modularity_mean")
    written = f"{{block:vision,layer:{layer},lam:{bimodal},pooling:{artefact['pooling']},pairs:256}}"
    found = {
        f"dual: vision layer {layer}, λ = {artefact['lam']:.3g}": ("dual", str(folder / "key_space.json")),
        f"dual, λ of greatest $Q_B$: {bimodal:.3g}": ("bimodal", written),
    }
    for block in ("vision", "language"):
        row = best(rows, block)
        name = f"best {block} layer: {row['index']}, {row['pooling']}"
        written = f"{{block:{block},layer:{row['index']},lam:0.0,pooling:{row['pooling']},pairs:256}}"
        found[name] = block, written
    return found


def compare(out: Path, model: str, dataset: str, edits: int, options: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Run what is missing; a row a kind of keys and suite, written with its figure to ``keys.csv`` and ``keys.png``."""
    from rv_edit.report.figures import keys_figure, save_figure
    from rv_edit.report.files import write_together
    from rv_edit.report.tables import write_csv

    rows: list[dict[str, Any]] = []
    for name, (short, option) in kinds(topology(out, model, dataset)).items():
        folder = out / model / dataset / f"keys_{short}_{edits}"
        if not (folder / "results.json").is_file():
            given = [f"model={model}", f"dataset={dataset}", f"dataset.edits={edits}", "callbacks=none"]
            call(folder, *given, f"model.key_space={option}", *options)
        after = json.loads((folder / "results.json").read_text())["after"]
        for suite, head in SUITES.items():
            low, high = after[suite]["ci95"]
            rows.append({"keys": name, "suite": head, "mean": after[suite]["mean"], "low": low, "high": high})
    home = out / model / dataset
    write_together({home / "keys.csv": lambda stream: write_csv(rows, stream)})
    save_figure(keys_figure(rows, f"{model} on {dataset}, {edits} edits"), home / "keys.png")
    return rows


def main() -> None:
    """Compare the kinds of keys on every model and data set asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["pocket_llava"])
    parser.add_argument("--datasets", nargs="+", default=["pocket_aokvqa"])
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("outputs/topology"))
    parser.add_argument("overrides", nargs="*", help="further options of the edit runs")
    args = parser.parse_args()
    for model in args.models:
        for dataset in args.datasets:
            for row in compare(args.out.resolve(), model, dataset, args.edits, args.overrides):
                print("  ".join("–" if value is None else str(value) for value in row.values()))


if __name__ == "__main__":
    main()
