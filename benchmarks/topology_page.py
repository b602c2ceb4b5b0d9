"""``python benchmarks/topology_page.py``: what was found of the topology of embeddings, beside the paper's claims.

Runs what is missing (``task=topology`` with several sizes of networks, and with ``--edits`` the three kinds of keys)
for every model and data set, keeps the tables in ``docs/results/topology`` and the figures in
``docs/figures/topology``, and writes ``docs/topology.md`` from them. What ``topology_cost.py`` and ``criterion.py``
found is taken up where it is there. ``--models`` without a name runs nothing and writes the page anew; ``--fresh`` runs
everything again, as after a change of weights.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks import key_layers
from benchmarks.topology_report import FIGURES, page

DOCS = Path(__file__).resolve().parents[1] / "docs"
TABLES = ("key_space.json", "layers.csv", "balance.csv", "sizes.csv", "biased.csv", "networks.csv")


def keep(home: Path, cell: str, kept: Path, figures: Path) -> None:
    """Copy a cell's tables and figures to where the page is written from.

    Args:
        home: the cell's runs: ``topology/``, and ``keys.csv`` where the kinds of keys were run.
        cell: ``<model>-on-<dataset>``.
        kept: folder of all cells' tables.
        figures: folder of the pictures.
    """
    target = kept / cell
    target.mkdir(parents=True, exist_ok=True)
    figures.mkdir(parents=True, exist_ok=True)
    for path in (*(home / "topology" / name for name in TABLES), home / "keys.csv"):
        if path.is_file():
            shutil.copyfile(path, target / path.name)
    for name in FIGURES:
        made = home / ("keys.png" if name == "keys" else f"topology/{name}.png")
        if made.is_file():
            shutil.copyfile(made, figures / f"{cell.replace('-on-', '_')}_{name}.png")


def keep_criterion(path: Path, kept: Path, figures: Path) -> None:
    """Copy a ``correlation.json``, and draw its cells."""
    from rv_edit.report.figures import criterion_figure, save_figure

    found = json.loads(path.read_text())
    model, dataset = found["model"], found["dataset"]
    target = kept / f"{model}-on-{dataset}"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target / "criterion.json")
    title = f"{model} on {dataset}: {found['edits']} edits with each of {len(found['cells'])} key spaces"
    save_figure(criterion_figure(found["cells"], title), figures / f"{model}_{dataset}_criterion.png")


def run(args: argparse.Namespace, cells: Sequence[tuple[str, str]], kept: Path, figures: Path) -> None:
    """Run what is missing of each cell and keep it; one that fails does not lose the others."""
    out = args.out.resolve()
    for cell in cells:
        home = out.joinpath(*cell)
        if args.fresh:
            shutil.rmtree(home, ignore_errors=True)
        try:
            key_layers.topology(out, *cell, [f"task.sizes={args.sizes}".replace(" ", ""), *args.overrides])
            if args.edits:
                key_layers.compare(out, *cell, args.edits)
        except RuntimeError as error:
            print(f"{' on '.join(cell)}: {error}")
            continue
        keep(home, "-on-".join(cell), kept, figures)


def main() -> None:
    """Run what is missing, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=["pocket_llava"])
    parser.add_argument("--datasets", nargs="+", default=["pocket_aokvqa", "pocket_fvqa"])
    parser.add_argument("--sizes", type=int, nargs="*", default=[5, 10, 15], help="further M, beside the task's own")
    parser.add_argument("--edits", type=int, default=0, help="run the kinds of keys with so many edits; 0: do not")
    parser.add_argument("--fresh", action="store_true", help="run again what is there")
    parser.add_argument("--out", type=Path, default=Path("outputs/topology"))
    parser.add_argument("--cost", type=Path, nargs="*", default=[], help="files of topology_cost.py to be kept")
    parser.add_argument("--criterion", type=Path, default=Path("outputs/criterion"))
    parser.add_argument("--docs", type=Path, default=DOCS)
    parser.add_argument("overrides", nargs="*", help="further options of the topology runs")
    args = parser.parse_args()
    docs = args.docs.resolve()
    kept, figures = docs / "results" / "topology", docs / "figures" / "topology"
    run(args, [(model, dataset) for model in args.models for dataset in args.datasets], kept, figures)
    for path in sorted(args.criterion.glob("*/*/correlation.json")):
        keep_criterion(path, kept, figures)
    for path in args.cost:
        found = json.loads(path.read_text())
        shutil.copyfile(path, kept / f"cost{'_deep' if found['depth'] else ''}_{found['model']}.json")
    staged = docs / "topology.md.tmp"
    staged.write_text(page(kept, figures, docs))
    os.replace(staged, docs / "topology.md")
    print(docs / "topology.md")


if __name__ == "__main__":
    main()
