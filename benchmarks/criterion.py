"""``python benchmarks/criterion.py``: does the topological criterion predict how well editing goes?

On a grid of vision layers × λ, the key space of each cell gets its modularities and makes the same edits; then every
suite is asked. The answer is the rank correlation between the criterion and the mean of the suites, over the cells of a
model and data set. A cell that has its file is not computed again, so the command can be given again after an
interruption, or for some cells at a time (``--cells``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from benchmarks.criterion_cells import Bench, Cell, write_json
from benchmarks.criterion_statistics import Grid, Suite, correlate

PAPER_SUITES = ("acc", "t_gen", "i_gen", "r_gen", "coe_gen", "loc")
ALL_SUITES = (*PAPER_SUITES, "contrast")


def composed(model: str, dataset: str, overrides: Sequence[str]) -> DictConfig:
    """Options as the command line would give them."""
    from hydra import compose, initialize_config_dir

    from rv_edit.cli import conf_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=[f"model={model}", f"dataset={dataset}", "logger=none", *overrides])
    OmegaConf.resolve(cfg)
    return cfg


def run_grid(args: argparse.Namespace, model: str, dataset: str, folder: Path) -> dict[str, Any] | None:
    """Compute what is missing of a grid; its correlations once no cell is missing."""
    from rv_edit.tasks.study import Study
    from rv_edit.tasks.topology_options import TopologyOptions

    editing = [item for item in args.overrides if not item.startswith("task.")]
    measuring = [item for item in args.overrides if not item.startswith(("editor.", "dataset.edits"))]
    topology = composed(model, dataset, ["task=topology", f"output={folder}", *measuring])
    study = Study(topology, TopologyOptions.of(topology), args.device)
    last = study.vlm.num_vision_layers - 1
    layers = args.layers or sorted({0, last // 2, last})
    cells = [Cell(layer, lam) for layer in layers for lam in args.lams]
    cfg = composed(model, dataset, [f"dataset.edits={args.edits}", f"output={folder}", *editing])
    bench = Bench(cfg, study, folder, layers)
    grid = torch.tensor(args.lams, dtype=torch.float64)
    measured = {layer: torch.stack(study.balance(bench.spaces[layer], grid)) for layer in layers}
    found: list[dict[str, Any]] = []
    for cell in cells[: args.cells]:
        found.append(bench.run(cell))
        seconds = ", ".join(f"{name} {value:.1f} s" for name, value in found[-1]["seconds"].items())
        print(
            f"{model} {dataset} {cell.name}: {found[-1]['questions_asked_anew']} questions anew, {seconds}", flush=True
        )
    if len(found) < len(cells):
        print(f"{model} {dataset}: {len(cells) - len(found)} of {len(cells)} cells are still to be run", flush=True)
        return None
    networks = torch.cat([measured[layer].transpose(0, 1) for layer in layers]).numpy()  # cells, networks, measures
    made = gather(found, networks)
    achieved = {name: suite.means().tolist() for name, suite in made.suites.items()}
    return {
        "model": model,
        "dataset": dataset,
        "edits": found[0]["edits"],
        "cells": [
            {
                "layer": cell.layer,
                "lam": cell.lam,
                "harmonic_mean": float(made.harmonic_mean()[place]),
                "bimodal_modularity": float(made.bimodality()[place]),
                "mean_of_suites": float(made.achieved(present(made, PAPER_SUITES))[place]),
                **{name: values[place] for name, values in achieved.items()},
                "seconds": found[place]["seconds"],
            }
            for place, cell in enumerate(cells)
        ],
        "correlations": [
            {"suites": label, **correlate(made, present(made, names), criterion, args.resamples)}
            for label, names in (("the paper's six", PAPER_SUITES), ("with contrast", ALL_SUITES))
            for criterion in ("harmonic_mean", "bimodality")
        ],
    }


def present(grid: Grid, names: Sequence[str]) -> list[str]:
    """Those of the suites that have questions."""
    return [name for name in names if name in grid.suites]


def gather(found: Sequence[Mapping[str, Any]], networks: np.ndarray[Any, Any]) -> Grid:
    """Answers of all cells by suite and cluster: edits, and for Loc the questions themselves."""
    answers = [cell["answers"] for cell in found]
    edits = list(dict.fromkeys(edit for _, edit, _, _ in answers[0] if edit is not None))
    suites: dict[str, Suite] = {}
    for name in dict.fromkeys(suite for suite, _, _, _ in answers[0]):
        rows = [index for index, (suite, _, _, _) in enumerate(answers[0]) if suite == name]
        owner = np.arange(len(rows)) if name == "loc" else np.array([edits.index(answers[0][row][1]) for row in rows])
        count = len(rows) if name == "loc" else len(edits)
        right = np.array([[float(cell[row][2]) for row in rows] for cell in answers])
        sums = np.stack([np.bincount(owner, weights=line, minlength=count) for line in right])
        suites[str(name)] = Suite(sums, np.bincount(owner, minlength=count).astype(np.float64))
    return Grid(networks[..., 0], networks[..., 1], networks[..., 2], suites)


def main() -> None:
    """Run the grids, write and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["pocket_llava"])
    parser.add_argument("--datasets", nargs="+", default=["pocket_aokvqa", "pocket_fvqa"])
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--layers", type=int, nargs="+", help="vision blocks; by default the first, middle and last")
    parser.add_argument("--lams", type=float, nargs="+", default=[0.1, 0.3, 1.0, 3.0, 10.0])
    parser.add_argument("--cells", type=int, help="compute only so many of each grid now")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("outputs/criterion"))
    parser.add_argument("overrides", nargs="*", help="further options of run.py")
    args = parser.parse_args()
    for model in args.models:
        for dataset in args.datasets:
            folder = args.out.resolve() / model / dataset
            result = run_grid(args, model, dataset, folder)
            if result is not None:
                write_json(folder / "correlation.json", result)
                print(json.dumps(result["correlations"], indent=2), flush=True)


if __name__ == "__main__":
    main()
