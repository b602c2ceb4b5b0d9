"""``docs/topology.md`` from the tables kept in ``docs/results/topology``: nothing is measured here.

A cell is a model on a data set, in a folder ``<model>-on-<dataset>`` of its own: the tables of ``task=topology`` with
its artefact, ``keys.csv`` and ``criterion.json``; what ``topology_cost.py`` found lies beside the cells.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.topology_claims import AGREES, CANNOT_TELL, CLAIMS, DIFFERS, Tables

FIGURES = {
    "biased": "Networks of single layers (Fig. 3): the most vision-biased and the most language-biased layer.",
    "layers": "The five measures in every layer (Fig. 6a, 6b, 7); bands are one deviation over networks.",
    "balance": "The trade-off over λ (Fig. 6c).",
    "networks": "Networks of the dual embedding at a small, the balanced and a large λ (Fig. 7).",
    "sizes": "Pairs a network against mean and variance (Fig. 13); thin lines are layers.",
    "keys": "Kinds of keys (Fig. 5a), with 95 % intervals.",
}
NETWORKS = 10
"""That ``topology_cost.py`` measures unless told otherwise."""
CRITERIA = {"harmonic_mean": "harmonic mean", "bimodality": "Q_B"}


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV; none where it is missing."""
    return list(csv.DictReader(path.read_text().splitlines())) if path.is_file() else []


def tables_of(home: Path) -> Tables:
    """What was measured of one cell."""
    artefact = json.loads((home / "key_space.json").read_text())
    return Tables(
        int(artefact["curves"]["networks"]),
        table(home / "layers.csv"),
        table(home / "balance.csv"),
        float(artefact["lam"]),
        table(home / "sizes.csv"),
        table(home / "keys.csv"),
    )


def short(home: Path) -> str:
    """A cell's name in a table: both names without what they share."""
    return home.name.replace("pocket_", "").replace("-on-", ", ")


def verdicts(homes: Sequence[Path]) -> list[str]:
    """Every claim against every cell."""
    lines = [
        "## The paper's claims, in short",
        "",
        "A plus agrees, a minus differs, ? cannot tell; the figures behind each mark stand in the cell's own section.",
        "",
        "| the paper | " + " | ".join(short(home) for home in homes) + " |",
        "| --- |" + " :---: |" * len(homes),
    ]
    marks = {AGREES: "+", DIFFERS: "−", CANNOT_TELL: "?"}
    found = [tables_of(home) for home in homes]
    for claim, _, put in CLAIMS:
        lines.append(f"| {claim} | " + " | ".join(marks[put(tables)[0]] for tables in found) + " |")
    return [*lines, ""]


def section(home: Path, figures: Path, docs: Path) -> list[str]:
    """A cell: the choice, the claims, the figures."""
    model, dataset = home.name.split("-on-")
    artefact = json.loads((home / "key_space.json").read_text())
    found, curves = tables_of(home), artefact["curves"]
    tables = home.relative_to(docs).as_posix()
    lines = [f"## `{model}` on `{dataset}`", ""]
    lines += [
        f"Chosen: vision layer {artefact['layer']}, {artefact['pooling']} pooling, λ = {artefact['lam']:.3g}. "
        f"Measured on {curves['networks']} networks of {curves['pairs']['layers']} pairs (layers) and of "
        f"{curves['pairs']['balance']} (λ), seed {curves['seed']}, weights `{artefact['model_fingerprint'][:12]}`. "
        f"Tables: " + ", ".join(f"[{path.name}]({tables}/{path.name})" for path in sorted(home.iterdir())) + ".",
        "",
        "| the paper | here | measured | figure |",
        "| --- | --- | --- | --- |",
    ]
    for claim, figure, put in CLAIMS:
        verdict, told = put(found)
        lines.append(f"| {claim} | **{verdict}** | {told} | {figure} |")
    lines.append("")
    for name, caption in FIGURES.items():
        place = figures / f"{model}_{dataset}_{name}.png"
        if place.is_file():
            lines += [f"![{name}]({place.relative_to(docs).as_posix()})", "", f"*{caption}*", ""]
    return lines


def cost(found: Mapping[str, Any]) -> list[str]:
    """What ``topology_cost.py`` measured."""
    sample, apart = found["plain_sample"], found["greatest_difference"]
    ours, theirs = found["ours_seconds"], found["plain_seconds_extrapolated"]
    depth = found.get("depth")
    command = f"python benchmarks/topology_cost.py --model {found['model']}"
    command += f" --depth {depth[0]} {depth[1]}" if depth else ""
    command += "" if found["networks"] == NETWORKS else f" --networks {found['networks']}"
    title = f"Cost: `{found['model']}`" + (", at the depth of LLaVA-1.5-7B (random weights)" if depth else "")
    lines = [
        f"## {title}",
        "",
        f"`{command}` on `{found['dataset']}` ({found['machine']}): "
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


def interval(ends: Sequence[float] | None) -> str:
    """Two ends, or a dash."""
    return "–" if ends is None else f"{ends[0]:.2f} … {ends[1]:.2f}"


def lam_alone(cells: Sequence[Mapping[str, Any]]) -> str:
    """Spearman of λ itself with the mean of the suites: what a criterion must do better than."""
    from scipy import stats

    found = stats.spearmanr([cell["lam"] for cell in cells], [cell["mean_of_suites"] for cell in cells]).statistic
    return f"{float(found):.2f}"


def correlation(homes: Sequence[Path], figures: Path, docs: Path) -> list[str]:
    """What ``criterion.py`` found; empty where it has not run."""
    found = [(home, json.loads(path.read_text())) for home in homes if (path := home / "criterion.json").is_file()]
    if not found:
        return []
    head, (_, first) = (docs / "topology_criterion.md").read_text().rstrip(), found[0]
    lines = [
        "## Does the criterion predict editing?",
        "",
        head.format(edits=first["edits"], cells=len(first["cells"])),
        "",
        "| model, data set | suites | criterion | Spearman | edits drawn again | cells drawn again | Kendall |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for home, result in found:
        for row in result["correlations"]:
            ends = [interval(row[f"spearman_{what}_drawn_again"]) for what in ("edits", "cells")]
            values = ["–" if row[name] is None else f"{row[name]:.2f}" for name in ("spearman", "kendall")]
            told = [short(home), row["suites"], CRITERIA[row["criterion"]], f"**{values[0]}**", *ends, values[1]]
            lines.append("| " + " | ".join(told) + " |")
        alone = lam_alone(result["cells"])
        lines.append(f"| {short(home)} | the paper's six | λ alone | {alone} | | | |")
    lines.append("")
    for home, result in found:
        place = figures / f"{result['model']}_{result['dataset']}_criterion.png"
        if place.is_file():
            lines += [f"![criterion]({place.relative_to(docs).as_posix()})", "", f"*{short(home)}.*", ""]
    return lines


def page(kept: Path, figures: Path, docs: Path) -> str:
    """The whole page.

    Args:
        kept: folder of the cells.
        figures: of the pictures, ``<model>_<dataset>_<figure>.png``.
        docs: folder of the page, with what stands at its head in ``topology_head.md``.
    """
    homes = sorted(path.parent for path in kept.glob("*-on-*/key_space.json"))
    lines = [(docs / "topology_head.md").read_text().rstrip(), ""]
    lines += verdicts(homes) if homes else []
    lines += correlation(homes, figures, docs)
    costs = [json.loads(path.read_text()) for path in sorted(kept.glob("cost*.json"))]
    for found in costs:
        lines += cost(found)
    if costs:
        lines += [(docs / "topology_cost.md").read_text().rstrip(), ""]
    for home in homes:
        lines += section(home, figures, docs)
    return "\n".join(lines).rstrip() + "\n"
