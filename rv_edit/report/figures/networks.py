"""Pictures of embedding networks in which clusters by picture and by text can be seen (paper Fig. 3 and 7).

Each network is drawn twice at the same places: once every picture has a colour, once every text. A space that keeps
pictures together shows patches of one colour in the upper row and a mixture in the lower one; a space that keeps texts
together the other way round; a balanced one small patches in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rv_edit.report.figures.canvas import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
STEP = 10.0
"""Length of t-SNE's steps."""
GAP = 0.5
"""Least distance of two nodes of a picture, times the root of their number: about what a node's mark takes up."""
PALETTE = ("#e41a1c", "#377eb8", "#4daf4a", "#984ea3", "#ff7f00", "#a65628", "#f781bf", "#17becf", "#bcbd22", "#666666")


@dataclass(frozen=True, eq=False)
class Panel:
    """One network, ready to be drawn.

    Attributes:
        title: over its column.
        distances: (n, n).
        images: (n,) the picture of each node, from 0.
        texts: (n,) its text, from 0.
        variants: (n,) whether it is an augmented variant of the pair.
        places: (n, 2), see :func:`positions`.
    """

    title: str
    distances: Floats
    images: Sequence[int]
    texts: Sequence[int]
    variants: Sequence[bool]
    places: Floats


def positions(distances: Floats, neighbours: float) -> Floats:
    """(n, 2) places at which near nodes stand near each other and none hides another: t-SNE of the distances.

    It starts from the places that keep all distances best (classical scaling) and takes small steps: with few nodes,
    a random start or long steps tear groups apart that are none in the distances.

    Args:
        distances: (n, n).
        neighbours: how many nodes a node is to stand among (the perplexity); fewer where n is small.
    """
    nodes = len(distances)
    if nodes < 3:
        return np.stack([np.arange(nodes, dtype=np.float64), np.zeros(nodes)], axis=1)
    from sklearn.manifold import TSNE

    distances = distances / (float(distances.max()) or 1.0)  # the steps depend on the unit of length
    start = scaled(distances)
    # Nodes at one place would never part.
    start += 1e-3 * np.random.default_rng(0).normal(size=start.shape)
    made = TSNE(
        metric="precomputed",
        init=(1e-4 * start / start.std()).astype(np.float32),
        perplexity=min(neighbours, (nodes - 1) / 3),
        learning_rate=STEP,
        method="exact",
    )
    found = made.fit_transform(distances).astype(np.float64)
    return spread(unit(found), GAP / np.sqrt(nodes))


def scaled(distances: Floats) -> Floats:
    """(n, 2) places whose distances are nearest to the given ones: classical scaling."""
    nodes = len(distances)
    centring = np.eye(nodes) - 1 / nodes
    values, vectors = np.linalg.eigh(-0.5 * centring @ (distances**2) @ centring)
    return np.asarray(vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0)))


def unit(places: Floats) -> Floats:
    """The same places, moved and scaled into −1 … 1 on both axes, the aspect kept."""
    low, high = places.min(axis=0), places.max(axis=0)
    return np.asarray((places - (low + high) / 2) / (float((high - low).max()) / 2 or 1.0))


def spread(places: Floats, gap: float, rounds: int = 400) -> Floats:
    """Push nodes apart until none hides another: at least about ``gap`` lies between any two.

    Args:
        places: (n, 2).
        gap: least distance.
        rounds: at most so many; each moves both nodes of a pair that is too near by half of what is missing.
    """
    places = places.copy()
    turn = np.arange(len(places)) * 2.399963  # the golden angle: equal places leave each other in different directions
    places += 1e-6 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for _ in range(rounds):
        apart = places[:, None] - places[None]
        length = np.sqrt((apart**2).sum(axis=2)) + np.eye(len(places))
        missing = np.clip(gap - length, 0, None) * (1 - np.eye(len(places)))
        if float(missing.max()) < 0.02 * gap:
            break
        places += (apart / length[..., None] * missing[..., None] / 2).sum(axis=1) * 0.8
    return unit(places)


def nearest_edges(distances: Floats, count: int) -> list[tuple[int, int]]:
    """Pairs of nodes of which one is among the ``count`` nearest of the other; of equally near ones the first."""
    apart = distances + np.where(np.eye(len(distances), dtype=bool), np.inf, 0.0)
    order = np.argsort(apart, axis=1, kind="stable")[:, : min(count, len(distances) - 1)]
    return sorted({(min(row, int(at)), max(row, int(at))) for row, line in enumerate(order) for at in line})


def network_figure(panels: Sequence[Panel], title: str, edges: int) -> Figure:
    """A column a network: nodes coloured by picture above, by text below.

    Args:
        panels: the networks.
        title: over all.
        edges: lines are drawn from each node to so many nearest ones.
    """
    figure, grid = new_figure(2, len(panels), (3.7 * len(panels) + 1.4, 7.6))
    for column, panel in enumerate(panels):
        lines = nearest_edges(panel.distances, edges)
        for row, groups in enumerate((panel.images, panel.texts)):
            _draw(grid[row][column], panel, groups, lines)
        grid[0][column].set_title(panel.title, fontsize=10)
    for row, name in enumerate(("picture", "text")):
        grid[row][0].set_ylabel(f"coloured by {name}", fontsize=11)
        for group in sorted(set(panels[0].images if row == 0 else panels[0].texts)):
            grid[row][-1].scatter([], [], s=40, color=_colour(group), label=f"{name} {group + 1}")
        grid[row][-1].scatter([], [], s=40, facecolors="white", edgecolors="black", label="pair")
        if any(panels[0].variants):
            grid[row][-1].scatter([], [], s=18, facecolors="white", edgecolors="black", label="variant of a pair")
        grid[row][-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    figure.suptitle(title)
    return figure


def network_rows(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """A row a node of each network, as the figure has them: panel, picture, text, whether a variant, and place."""
    return [
        {
            "panel": panel.title.replace("\n", ", "),
            "node": node,
            "picture": panel.images[node],
            "text": panel.texts[node],
            "variant": int(panel.variants[node]),
            "x": float(panel.places[node, 0]),
            "y": float(panel.places[node, 1]),
        }
        for panel in panels
        for node in range(len(panel.images))
    ]


def _draw(axes: Axes, panel: Panel, groups: Sequence[int], lines: Sequence[tuple[int, int]]) -> None:
    from matplotlib.collections import LineCollection

    places = panel.places
    ends = [(tuple(places[one]), tuple(places[other])) for one, other in lines]
    axes.add_collection(LineCollection(ends, colors="#999999", linewidths=0.6, alpha=0.6, zorder=1))
    sizes = [18 if variant else 48 for variant in panel.variants]
    colours = [_colour(group) for group in groups]
    axes.scatter(places[:, 0], places[:, 1], s=sizes, c=colours, edgecolors="black", linewidths=0.4, zorder=2)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(True)
    axes.set_xlim(-1.12, 1.12)
    axes.set_ylim(-1.12, 1.12)
    axes.set_aspect("equal")


def _colour(group: int) -> str:
    return PALETTE[group % len(PALETTE)]
