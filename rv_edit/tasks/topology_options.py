"""The options of ``task=topology``, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rv_edit.editors.option_kinds import check_kinds
from rv_edit.embedding.key_space import POOLINGS
from rv_edit.errors import ConfigError
from rv_edit.topology import Layout

CRITERIA = {
    "harmonic": "harmonic mean of vision and language modularity",
    "bimodal": "bimodal modularity",
}
"""What λ* may be greatest in: the paper's choice (3.3), or the measure by which the layer is chosen."""

LEAST_LAM, MOST_LAM = 1e-30, 1e30
"""Keys are 32-bit numbers, which do not hold λ times a text's half far beyond these."""


@dataclass(frozen=True)
class LamOptions:
    """The search for λ: a log grid from ``low`` to ``high``, on networks of ``pairs`` pairs.

    ``criterion``: of :data:`CRITERIA`.
    """

    criterion: str = "harmonic"
    low: float = 0.05
    high: float = 20.0
    points: int = 27
    pairs: int = 10


@dataclass(frozen=True)
class FigureOptions:
    """Pictures of networks.

    Attributes:
        pairs: pictures and texts a network, of which all pairs are nodes, beside the variants of each.
        neighbours: how many nodes a node is to stand among.
        edges: lines from a node to its nearest ones.
    """

    pairs: int = 6
    neighbours: float = 6.0
    edges: int = 3


@dataclass(frozen=True)
class TopologyOptions:
    """What is measured (paper 3.3, appendix A).

    Attributes:
        networks: N independent networks a measure is averaged over.
        pairs: M picture–text pairs a network, while layers are compared.
        anchors: pairs a network whose biases are measured, at most.
        around: nodes of each kind around such a pair.
        pooling: over the tokens of the vision layer, in the key space that is chosen.
        facts: text file with a sentence a line, for mismatches; ``None``: the data set's own reasoning.
        fact_count: sentences kept of it.
        lam: the search for λ.
        sizes: further numbers of pairs a network for which every layer is measured (paper A.4).
        figures: pictures of networks; ``None``: no figure is drawn.
        augment: ``tile_pool`` and the options of :class:`rv_edit.augment.ImageAugmenter`.
        batch_size: pairs read together.
        sample: pictures for tiles, mismatches and calibration.
        seed: of every draw.
    """

    networks: int = 10
    pairs: int = 20
    anchors: int = 10
    around: int = 10
    pooling: str = "mean"
    facts: str | None = None
    fact_count: int = 500
    lam: LamOptions = field(default_factory=LamOptions)
    sizes: tuple[int, ...] = ()
    figures: FigureOptions | None = field(default_factory=FigureOptions)
    augment: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 32
    sample: int = 256
    seed: int = 0

    @classmethod
    def of(cls, cfg: DictConfig) -> TopologyOptions:
        """From a composed configuration.

        Raises:
            ConfigError: the first option that cannot be used.
        """
        given = OmegaConf.to_container(cfg.task, resolve=True)
        assert isinstance(given, dict)
        options = {str(name): value for name, value in given.items() if name not in ("name", "_target_")}
        drawn = options.get("figures", {}) is not None
        groups = {name: options.pop(name, None) or {} for name in ("lam", "augment", "figures")}
        for name, group in groups.items():
            if not isinstance(group, dict):
                raise ConfigError(f"task.{name}={group!r}: give options, as in conf/task/topology.yaml")
        sizes = options.pop("sizes", None) or []
        if not isinstance(sizes, list) or not all(type(size) is int and size >= 2 for size in sizes):
            raise ConfigError(f"task.sizes={sizes}: give a list of whole numbers of at least 2")
        check_kinds("task", options, cls)
        check_kinds("task.lam", groups["lam"], LamOptions)
        check_kinds("task.figures", groups["figures"], FigureOptions)
        outside = {
            "scoring.batch_size": cfg.scoring.batch_size,
            "dataset.sample": cfg.dataset.sample,
            "seed": cfg.seed,
        }
        for name, value in outside.items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"{name}={value}: give a whole number")
        batch_size, sample, seed = outside.values()
        return cls(
            **options,
            lam=LamOptions(**groups["lam"]),
            sizes=tuple(sorted(set(sizes))),
            figures=FigureOptions(**groups["figures"]) if drawn else None,
            augment=groups["augment"],
            batch_size=batch_size,
            sample=sample,
            seed=seed,
        )

    def __post_init__(self) -> None:
        least = {
            "task.networks": (self.networks, 1),
            "task.pairs": (self.pairs, 2),
            "task.anchors": (self.anchors, 1),
            "task.around": (self.around, 1),
            "task.fact_count": (self.fact_count, 1),
            "task.lam.points": (self.lam.points, 2),
            "task.lam.pairs": (self.lam.pairs, 2),
            "task.figures.pairs": (self.figures.pairs if self.figures else 2, 2),
            "task.figures.neighbours": (self.figures.neighbours if self.figures else 1, 1),
            "task.figures.edges": (self.figures.edges if self.figures else 0, 0),
            "scoring.batch_size": (self.batch_size, 1),
            "dataset.sample": (self.sample, 1),
            "seed": (self.seed, 0),
        }
        for name, (value, bound) in least.items():
            if value < bound:
                raise ConfigError(f"{name}={value}: give a number of at least {bound}")
        if not LEAST_LAM <= self.lam.low < self.lam.high <= MOST_LAM:
            given = f"task.lam.low={self.lam.low}, high={self.lam.high}"
            raise ConfigError(f"{given}: give {LEAST_LAM:g} ≤ low < high ≤ {MOST_LAM:g}")
        if self.lam.criterion not in CRITERIA:
            raise ConfigError(f"task.lam.criterion={self.lam.criterion}: give one of {', '.join(CRITERIA)}")
        if self.pooling not in POOLINGS:
            raise ConfigError(f"task.pooling={self.pooling}: give one of {', '.join(POOLINGS)}")
        if self.facts is not None and not isinstance(self.facts, str):
            raise ConfigError(f"task.facts={self.facts!r}: give the path of a text file")

    def layout(self, pairs: int) -> Layout:
        """Networks of ``pairs`` pairs, each with as many variants as there are other pairs (paper A.4)."""
        return Layout(pairs, pairs - 1, min(self.anchors, pairs), self.around)
