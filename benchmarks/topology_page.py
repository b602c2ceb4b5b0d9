"""``python benchmarks/topology_page.py``: what was found of the topology of embeddings, beside the paper's claims.

Runs what is missing (``task=topology`` with several sizes of networks, and with ``--edits`` the three kinds of keys)
for every model and data set, copies the figures to ``docs/figures/topology`` and writes ``docs/topology.md``. What
``topology_cost.py`` and ``criterion.py`` found is taken up where it is there. ``--fresh`` runs everything again, as
after a change of weights.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import key_layers
from benchmarks.topology_claims import CLAIMS, Tables

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FIGURES = {
    "biased": "Networks of single layers (Fig. 3): the most vision-biased and the most language-biased layer.",
    "layers": "The five measures in every layer (Fig. 6a, 6b, 7); bands are one deviation over networks.",
    "balance": "The trade-off over λ (Fig. 6c).",
    "networks": "Networks of the dual embedding at a small, the balanced and a large λ (Fig. 7).",
    "sizes": "Pairs a network against mean and variance (Fig. 13); thin lines are layers.",
    "keys": "Kinds of keys (Fig. 5a), with 95 % intervals.",
}


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV; none where it is missing."""
    return list(csv.DictReader(path.read_text().splitlines())) if path.is_file() else []


def tables_of(home: Path) -> Tables:
    """What was measured of one model and data set."""
    folder = home / "topology"
    artefact = json.loads((folder / "key_space.json").read_text())
    return Tables(
        int(artefact["curves"]["networks"]),
        table(folder / "layers.csv"),
        table(folder / "balance.csv"),
        float(artefact["lam"]),
        table(folder / "sizes.csv"),
        table(home / "keys.csv"),
    )


def section(model: str, dataset: str, home: Path) -> list[str]:
    """A model on a data set: the choice, the claims, the figures."""
    artefact = json.loads((home / "topology" / "key_space.json").read_text())
    found, curves = tables_of(home), artefact["curves"]
    lines = [f"## `{model}` on `{dataset}`", ""]
    lines += [
        f"Chosen: vision layer {artefact['layer']}, {artefact['pooling']} pooling, λ = {artefact['lam']:.3g}. "
        f"Measured on {curves['networks']} networks of {curves['pairs']['layers']} pairs (layers) and of "
        f"{curves['pairs']['balance']} (λ), seed {curves['seed']}, weights `{artefact['model_fingerprint'][:12]}`.",
        "",
        "| the paper | here | measured | figure |",
        "| --- | --- | --- | --- |",
    ]
    for claim, figure, put in CLAIMS:
        verdict, told = put(found)
        lines.append(f"| {claim} | **{verdict}** | {told} | {figure} |")
    lines.append("")
    for name, caption in FIGURES.items():
        made = home / ("keys.png" if name == "keys" else f"topology/{name}.png")
        if made.is_file():
            place = DOCS / "figures" / "topology" / f"{model}_{dataset}_{name}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, place)
            lines += [f"![{name}]({place.relative_to(DOCS).as_posix()})", "", f"*{caption}*", ""]
    return lines


def cost(found: Mapping[str, Any]) -> list[str]:
    """What ``topology_cost.py`` measured."""
    sample, apart = found["plain_sample"], found["greatest_difference"]
    ours, theirs = found["ours_seconds"], found["plain_seconds_extrapolated"]
    depth = found.get("depth")
    command = "python benchmarks/topology_cost.py" + (f" --depth {depth[0]} {depth[1]}" if depth else "")
    title = "Cost, at the depth of LLaVA-1.5-7B (random weights)" if depth else "Cost"
    lines = [
        f"## {title}",
        "",
        f"`{command}` on `{found['model']}`, `{found['dataset']}` ({found['machine']}): "
        f"M = {found['pairs']}, N = {found['networks']}, {found['nodes']} nodes a network, {found['layers']} layers, "
        "both poolings, five measures. Both ways get the same pictures, opened beforehand "
        f"({found['pictures_seconds']:.1f} s).",
        "",
        "| | processor seconds |",
        "| --- | --- |",
        f"| one vision pass a picture, all layers from one forward, one batched computation | {ours:.1f} |",
        f"| one forward a node and layer, networkx (extrapolated) | {theirs:.0f} |",
        f"| ratio | {found['ratio']:.0f} × |",
        "",
        f"The plain way was run for {sample['forward_passes']} of its {sample['of']:,} forward passes "
        f"({1000 * sample['seconds_each']:.1f} ms each) and {sample['measured_networks']} of its "
        f"{sample['of_networks']} networkx networks ({sample['seconds_each_network']:.1f} s each). The values are the "
        f"same: embeddings to {apart['embeddings_share_of_norm']:.0e} of their norm, measures to "
        f"{apart['measures']:.0e}, and every layer of a small network from beginning to end to "
        f"{apart['small_network_from_end_to_end']:.0e}.",
        "",
        "Memory by which measuring one network exceeds the peak that loading has left (0: it stays below):",
        "",
        "| M | nodes of the largest network | MiB | all layers' distances at once would take, MiB |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['pairs']} | {row['nodes']} | {row['peak_mib']:.0f} | {row['all_networks_mib']:.0f} |"
        for row in found["memory"]
    ]
    return [*lines, ""]


def correlation(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What ``criterion.py`` found."""
    lines = [
        "## Does the criterion predict editing?",
        "",
        "Rank correlation over the cells of a grid of vision layers × λ between a criterion of the key space and the",
        "mean of the suites after editing with it. First interval: edits, locality questions and networks drawn again;",
        "second: cells drawn again.",
        "",
        "| model, data set, edits | criterion | suites | Spearman | Kendall |",
        "| --- | --- | --- | --- | --- |",
    ]
    for result in found:
        for row in result["correlations"]:
            cells = [f"{result['model']}, {result['dataset']}, {result['edits']}", row["criterion"], row["suites"]]
            for name in ("spearman", "kendall"):
                ends = [row[f"{name}_{what}_drawn_again"] for what in ("edits", "cells")]
                told = ["–" if end is None else f"{end[0]:.2f} … {end[1]:.2f}" for end in ends]
                value = "–" if row[name] is None else f"{row[name]:.2f}"
                cells.append(f"{value} <sub>{told[0]}; {told[1]}</sub>")
            lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def main() -> None:
    """Run what is missing, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["pocket_llava"])
    parser.add_argument("--datasets", nargs="+", default=["pocket_aokvqa", "pocket_fvqa"])
    parser.add_argument("--sizes", type=int, nargs="*", default=[5, 10, 15], help="further M, beside the task's own")
    parser.add_argument("--edits", type=int, default=0, help="run the kinds of keys with so many edits; 0: do not")
    parser.add_argument("--fresh", action="store_true", help="run again what is there")
    parser.add_argument("--out", type=Path, default=Path("outputs/topology"))
    parser.add_argument("--cost", type=Path, nargs="*", default=[Path("outputs/topology_cost.json")])
    parser.add_argument("--criterion", type=Path, default=Path("outputs/criterion"))
    parser.add_argument("--page", type=Path, default=DOCS / "topology.md")
    parser.add_argument("overrides", nargs="*", help="further options of the topology runs")
    args = parser.parse_args()
    out, cells = args.out.resolve(), [(model, dataset) for model in args.models for dataset in args.datasets]
    if args.fresh:
        for cell in cells:
            shutil.rmtree(out.joinpath(*cell), ignore_errors=True)
    for cell in cells:
        try:
            key_layers.topology(out, *cell, [f"task.sizes={args.sizes}".replace(" ", ""), *args.overrides])
        except RuntimeError as error:
            print(f"{' on '.join(cell)}: {error}")  # the others are worth having
            continue
        if args.edits:
            key_layers.compare(out, *cell, args.edits)
    lines = [(DOCS / "topology_head.md").read_text().rstrip(), ""]
    for home in sorted(place.parents[1] for place in out.glob("*/*/topology/key_space.json")):
        lines += section(home.parent.name, home.name, home)
    correlations = sorted(args.criterion.glob("*/*/correlation.json"))
    for place in args.cost:
        lines += cost(json.loads(place.read_text())) if place.is_file() else []
    lines += correlation([json.loads(path.read_text()) for path in correlations]) if correlations else []
    staged = args.page.with_suffix(".tmp")
    staged.write_text("\n".join(lines).rstrip() + "\n")
    os.replace(staged, args.page)
    print(args.page)


if __name__ == "__main__":
    main()
