"""The figures of ``task=topology``, each a PNG beside the CSV it is drawn from (paper Fig. 3, 6, 7 and 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from torch import Tensor

from rv_edit.embedding import DualEmbedding
from rv_edit.embedding.key_space import POOLINGS
from rv_edit.report.figures import (
    Panel,
    balance_figure,
    layers_figure,
    network_figure,
    network_rows,
    positions,
    save_figure,
    sizes_figure,
)
from rv_edit.report.files import write_together
from rv_edit.report.tables import write_csv
from rv_edit.topology import pairwise_distances, sample_modularity
from rv_edit.vlm import probe_layers

if TYPE_CHECKING:
    from PIL import Image

    from rv_edit.embedding import KeySpace
    from rv_edit.tasks.networks import Network
    from rv_edit.tasks.study import Study
    from rv_edit.vlm import LayerRef

Row = Mapping[str, Any]


def draw_curves(
    output: Path, study: Study, tables: Mapping[str, Sequence[Row]], layer: int, lam: float | None
) -> list[Path]:
    """``layers.png``, ``balance.png`` and, where several sizes were measured, ``sizes.png``.

    Args:
        output: folder.
        study: what was measured.
        tables: file name -> rows.
        layer: the vision block that was chosen.
        lam: λ*, where there is one.
    """
    options = study.options
    where = f"{PurePath(study.vlm.name).name} on {study.data.name}, {options.networks} networks"
    balance = f"{where} of {options.lam.pairs} pairs, vision layer {layer}, {options.pooling} pooling"
    drawn = {
        "layers.csv": lambda rows: layers_figure(rows, f"{where} of {options.pairs} pairs", layer),
        "balance.csv": lambda rows: balance_figure(rows, balance, lam),
        "sizes.csv": lambda rows: sizes_figure(rows, f"{where}, {options.pooling} pooling", options.pooling),
    }
    return [save_figure(drawn[name](rows), (output / name).with_suffix(".png")) for name, rows in tables.items()]


def draw_networks(output: Path, study: Study, space: KeySpace, rows: Sequence[Row]) -> list[Path]:
    """``biased.png`` (single layers) and ``networks.png`` (the dual embedding at three λ), with their CSVs.

    Args:
        output: folder.
        study: the model and its data.
        space: the key space that was chosen.
        rows: of ``layers.csv``, by which the single layers are chosen.
    """
    assert study.options.figures is not None
    network, images = study.pictured()
    where = f"{PurePath(study.vlm.name).name} on {study.data.name}, {network.layout.pairs} pictures × as many texts"
    panels = {
        "biased": (_biased(study, network, images, rows), f"Single layers: {where}"),
        "networks": (
            _balanced(study, network, images, space),
            f"Keys of vision layer {space.layer} and text: {where}",
        ),
    }
    paths = []
    for name, (found, title) in panels.items():
        write_together({output / f"{name}.csv": partial(write_csv, network_rows(found))})
        figure = network_figure(found, title, study.options.figures.edges)
        paths.append(save_figure(figure, output / f"{name}.png"))
    return paths


def most_biased(rows: Sequence[Row], part: str) -> Row:
    """The row of the layer of ``part`` that is most biased to it; where bias cannot be told, of greatest modularity."""
    own = [row for row in rows if row["block"] == part]
    for measure in (f"{part}_bias_mean", f"{part}_modularity_mean"):
        known = [row for row in own if row[measure] is not None]
        if known:
            return max(known, key=lambda row: float(row[measure]))
    raise ValueError(f"no {part} layer among the rows")


def _biased(study: Study, network: Network, images: list[Image.Image], rows: Sequence[Row]) -> list[Panel]:
    """The most vision-biased vision layer and the most language-biased language layer (paper Fig. 3)."""
    refs = {(ref.block, ref.index): ref for ref in study.vlm.layer_refs()}
    panels = []
    for part in ("vision", "language"):
        row = most_biased(rows, part)
        ref: LayerRef = refs[part, int(row["index"])]
        pooling = str(row["pooling"])
        found = probe_layers(study.vlm, images, network.texts, [ref], POOLINGS, study.options.batch_size)
        title = f"{part} layer {ref.index}, {'last token' if pooling == 'last' else 'mean over tokens'}"
        panels.append(_panel(study, network, found[ref][POOLINGS.index(pooling)], title))
    return panels


def _balanced(study: Study, network: Network, images: list[Image.Image], space: KeySpace) -> list[Panel]:
    """The dual embedding at the smallest λ of the grid, at λ* and at the greatest (paper Fig. 7)."""
    lam = study.options.lam
    panels = []
    for name, value in (("small", lam.low), ("balanced", space.lam), ("large", lam.high)):
        dual = DualEmbedding(study.vlm, study.encoder, replace(space, lam=value))
        panels.append(_panel(study, network, dual.keys(images, network.texts, exact=False), f"{name} λ = {value:.3g}"))
    return panels


def _panel(study: Study, network: Network, embeddings: Tensor, title: str) -> Panel:
    """The cross product and the variants of a network; what else is in it serves the biases alone."""
    options, layout = study.options, network.layout
    assert options.figures is not None
    pairs, cross = layout.pairs, layout.cross_nodes
    nodes = embeddings[: cross + pairs * layout.variants].double().cpu()
    grid, variants = nodes[:cross].unflatten(0, (pairs, pairs)), nodes[cross:].unflatten(0, (pairs, layout.variants))
    found = sample_modularity(grid, variants)
    own = [anchor for anchor in range(pairs) for _ in range(layout.variants)]
    distances = pairwise_distances(nodes).numpy()
    told = ", ".join(f"$Q_{name}$ {float(value):.2f}" for name, value in zip("VLB", found, strict=True))
    return Panel(
        f"{title}\n{told}",
        distances,
        [node // pairs for node in range(cross)] + own,
        [node % pairs for node in range(cross)] + own,
        [False] * cross + [True] * len(own),
        positions(distances, options.figures.neighbours),
    )
