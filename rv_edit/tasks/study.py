"""The networks of a data set measured on a model, one after the other; each is kept and never measured twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig
from torch import Tensor

from data_modules.records import ImageRef
from rv_edit.augment import ImageAugmenter, TilePool, item_seed
from rv_edit.augment.tiles import pictures_in
from rv_edit.benchmark.cache import ChunkCache, software
from rv_edit.editors.option_kinds import check_kinds
from rv_edit.embedding import TextEncoder
from rv_edit.errors import ConfigError
from rv_edit.tasks.measuring import measure_balance, measure_layers
from rv_edit.tasks.networks import Network, Pools, Rewording, build_network, draw_batches, fact_sentences
from rv_edit.tasks.preparing import sample_pictures
from rv_edit.tasks.topology_options import TopologyOptions
from rv_edit.topology import Layout

if TYPE_CHECKING:
    from PIL import Image

    from data_modules.bundle import DataBundle
    from rv_edit.embedding import KeySpace
    from rv_edit.vlm import VLM

log = logging.getLogger(__name__)

Measuring = Callable[[Network, "list[Image.Image]"], Tensor]


class Study:
    """A data set, a model on one device, and the networks to be measured.

    Args:
        cfg: the composed configuration.
        options: its checked options.
        device: where the model goes.

    Raises:
        ConfigError, RecordError: something in the configuration cannot be used.
    """

    def __init__(self, cfg: DictConfig, options: TopologyOptions, device: str) -> None:
        self.options = options
        self.data: DataBundle = instantiate(cfg.dataset.source, _convert_="all")
        self.sample = sample_pictures(self.data.records, options.sample, options.seed)
        self.rewording = _rewording(cfg.dataset.get("rewording"))
        facts = fact_sentences(self.data.records, options.facts, options.fact_count, options.seed)
        self.pools = Pools(facts, tuple(picture for picture, _ in self.sample))
        drawing = dict(options.augment)
        tiles = _tiles(drawing.pop("tile_pool", None), self.pools)
        check_kinds("task.augment", drawing, ImageAugmenter)
        self.augmenter = ImageAugmenter(tile_pool=TilePool(tiles), **drawing)
        # All networks are drawn before the model is read: what the data set has too little of is said at once.
        sizes = dict.fromkeys(options.sizes, "task.sizes") | {options.pairs: "task.pairs"}
        self.layer_networks = {pairs: self._networks(pairs, options.seed, sizes[pairs]) for pairs in sorted(sizes)}
        own = item_seed(options.seed, "balance")
        self.balance_networks = self._networks(options.lam.pairs, own, "task.lam.pairs")
        self.pictured_network = self._pictured()
        self.vlm: VLM = instantiate(cfg.model.vlm, device=device, _convert_="all")
        self.encoder = TextEncoder(cfg.model.text_encoder, device=self.vlm.device)
        self.folder = None if cfg.cache is None else Path(cfg.cache).expanduser() / "topology"
        self._context: dict[str, Any] = {
            "model": self.vlm.fingerprint,
            "preprocessing": self.vlm.preprocessing,
            "prompt_style": asdict(self.vlm.prompts.style),
            "augment": drawing,
            "tiles": [picture.sha for picture in tiles],
            "seed": options.seed,
            "software": software(),
        }

    def layers(self, places: Sequence[int], pairs: int | None = None) -> list[Tensor]:
        """The measures in every layer of some of the networks: (layers, poolings, 5) each.

        Args:
            places: which networks.
            pairs: of how many pairs: ``options.pairs``, or one of ``options.sizes``.
        """
        drawn = self.layer_networks[self.options.pairs if pairs is None else pairs]
        with _bar(f"Layers, M = {drawn[0].layout.pairs}", len(places) * drawn[0].layout.nodes) as advance:

            def measure(network: Network, images: list[Image.Image]) -> Tensor:
                return measure_layers(self.vlm, network, images, self.options.batch_size, advance)

            networks = [drawn[place] for place in places]
            shape = (len(self.vlm.layer_refs()), 2, 5)
            return [self._kept({"stage": "layers"}, network, shape, measure, advance) for network in networks]

    def balance(self, space: KeySpace, grid: Tensor) -> list[Tensor]:
        """The measures of the dual embedding at each λ of ``grid``, on networks of their own: (Λ, 5) each."""
        networks = self.balance_networks
        stage = {
            "stage": "balance",
            "layer": space.layer,
            "pooling": space.pooling,
            "norms": [space.vision_norm, space.text_norm],
            "encoder": self.encoder.fingerprint,
            "grid": grid.tolist(),
        }

        def measure(network: Network, images: list[Image.Image]) -> Tensor:
            return measure_balance(self.vlm, self.encoder, space, grid, network, images, self.options.batch_size)

        with _bar("Balance", len(networks) * networks[0].layout.nodes) as advance:
            found = []
            for network in networks:
                found.append(self._kept(stage, network, (len(grid), 5), measure, None))
                advance(network.layout.nodes)
            return found

    def pictured(self) -> tuple[Network, list[Image.Image]]:
        """A small network of its own for pictures, and the pictures of its nodes."""
        assert self.pictured_network is not None
        return self.pictured_network, self.pictured_network.open(self.augmenter, self.options.seed)

    def _kept(
        self,
        stage: dict[str, Any],
        network: Network,
        shape: tuple[int, ...],
        measure: Measuring,
        advance: Callable[[int], None] | None,
    ) -> Tensor:
        """What is kept of a network, or else measured now and kept."""
        cache = ChunkCache(self.folder, {**self._context, **stage, "layout": asdict(network.layout)})
        rows = cache.get([network.digest()])
        if rows is not None:
            kept = torch.tensor(rows[0]["measures"], dtype=torch.float64)
            if kept.shape == shape:
                if advance is not None:
                    advance(network.layout.nodes)
                return kept
        found = measure(network, network.open(self.augmenter, self.options.seed))
        cache.put([network.digest()], [{"measures": found.tolist()}])
        return found

    def _pictured(self) -> Network | None:
        if self.options.figures is None:
            return None
        pairs, seed = self.options.figures.pairs, self.options.seed
        (batch,) = draw_batches(self.data.records, pairs, 1, item_seed(seed, "figures"), "task.figures.pairs")
        return build_network(batch, Layout(pairs, pairs - 1, 1, 1), self.pools, self.rewording, seed)

    def _networks(self, pairs: int, seed: int, option: str) -> list[Network]:
        layout = self.options.layout(pairs)
        batches = draw_batches(self.data.records, pairs, self.options.networks, seed, option)
        return [build_network(batch, layout, self.pools, self.rewording, self.options.seed) for batch in batches]


def _tiles(folder: Any, pools: Pools) -> list[ImageRef]:
    """Pictures for tiles: of ``task.augment.tile_pool``, by their bytes, since a folder may change; or of the data."""
    if folder is None:
        return list(pools.pictures)
    if not isinstance(folder, str):
        raise ConfigError(f"task.augment.tile_pool={folder!r}: give a folder of pictures, or null")
    return [ImageRef.from_path(path) for path in pictures_in(Path(folder).expanduser())]


def _rewording(name: str | None) -> Rewording | None:
    if name is None:
        log.info("dataset.rewording=null: variants keep their text, so that language bias cannot be told")
        return None
    try:
        found: Rewording = get_method(name)
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(f"dataset.rewording={name}: no such function; give module.function or null") from error
    return found


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit="pair", disable=None, leave=False) as bar:
        yield bar.update
