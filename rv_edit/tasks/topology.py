"""``task=topology``: the vision layer and the λ of the codebook's keys, chosen by measuring (paper 3.3, 4.6)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from rv_edit.embedding import MEASURED, KeySpace, calibrate, shelf
from rv_edit.embedding.key_space import POOLINGS
from rv_edit.errors import ConfigError
from rv_edit.report.files import write_together
from rv_edit.report.tables import write_csv
from rv_edit.tasks.checks import check_devices, check_values, writable
from rv_edit.tasks.topology_figures import draw_curves, draw_networks
from rv_edit.tasks.topology_options import CRITERIA, TopologyOptions
from rv_edit.topology import Measures, harmonic_mean, highest, log_grid, over_networks

if TYPE_CHECKING:
    from rv_edit.tasks.study import Study
    from rv_edit.vlm import LayerRef

log = logging.getLogger(__name__)

Row = dict[str, Any]
NAMES = Measures._fields
ARTEFACT, LAYERS, BALANCE, SIZES = "key_space.json", "layers.csv", "balance.csv", "sizes.csv"
"""The choice and its curves, in the output folder; each table has its figure beside it."""


def run(cfg: DictConfig) -> KeySpace:
    """Measure every layer, choose one, measure λ, choose it; artefact, curves and figures go to ``cfg.output``.

    Returns:
        The key space, as ``model.key_space=<output>/key_space.json`` gives it to an editor.

    Raises:
        ConfigError, RecordError: an option or the data set cannot be used, or no choice meets the criterion.
    """
    check_values(cfg)
    options = TopologyOptions.of(cfg)
    check_devices(cfg)
    output = writable(Path(cfg.output))
    devices = _devices(cfg, output)
    from rv_edit.tasks.sharding import measure_shards
    from rv_edit.tasks.study import Study

    if len(devices) > 1:
        measure_shards(cfg, options, devices)
    study = Study(cfg, options, devices[0])
    log.info("%s on %s: %d networks", study.vlm.name, study.data.name, options.networks)
    refs = study.vlm.layer_refs()
    measured = over_networks(torch.stack(study.layers(range(options.networks))), dim=0)
    rows = layer_rows(refs, *measured, told=study.rewording is not None)
    layer = choose_layer(refs, measured[0], options.pooling)
    which = POOLINGS.index(options.pooling), NAMES.index("bimodal_modularity")
    if float(measured[0][layer][which]) <= 0:
        log.info("no vision block keeps pairs with their variants: bimodal modularity is nowhere above 0")
    space = _calibrated(study, layer)
    grid = log_grid(options.lam.low, options.lam.high, options.lam.points)
    curves = over_networks(torch.stack(study.balance(space, grid)), dim=0)
    lams = lam_rows(grid, *curves, told=study.rewording is not None)
    criterion = CRITERIA[options.lam.criterion]
    best = highest(lam_scores(curves[0], options.lam.criterion))
    # The curves are written in any case: they show why there is no choice.
    tables = {LAYERS: rows, BALANCE: lams}
    if options.sizes:
        tables[SIZES] = _size_rows(study, refs)
    else:  # those of an earlier run in this folder belong to other curves
        for name in (SIZES, "sizes.png"):
            (output / name).unlink(missing_ok=True)
    write_together({output / name: partial(write_csv, table) for name, table in tables.items()})
    place, found = int(best.place), float(best.score) > 0
    if options.figures is not None:
        draw_curves(output, study, tables, layer, float(grid[place]) if found else None)
    if not found:
        (output / ARTEFACT).unlink(missing_ok=True)  # an earlier run's choice is not that of these curves
        raise ConfigError(
            f"task.lam: no λ from {options.lam.low:g} to {options.lam.high:g} has a {criterion} above 0, "
            f"see {output / BALANCE}; widen the grid or give more task.lam.pairs"
        )
    space = replace(space, lam=float(grid[place]), curves=_curves(study, rows, lams))
    path = space.save(output / ARTEFACT)
    chosen = f"vision layer {layer} of {study.vlm.num_vision_layers}, {options.pooling} pooling, λ = {space.lam:.3g}"
    log.info("chosen: %s (%s %.3f)", chosen, criterion, float(best.score))
    if place in (0, len(grid) - 1):
        log.info("λ lies at the end of the grid; a wider task.lam may hold a better one")
    log.info("edit with it: model.key_space=%s", path)
    if cfg.cache is not None:
        _shelve(cfg.cache, space)
    if options.figures is not None:
        draw_networks(output, study, space, rows)
    _log(cfg, space, lams[place]["harmonic_mean"], rows[len(POOLINGS) * layer + which[0]])
    return space


def _shelve(cache: str, space: KeySpace) -> None:
    """Keep the choice by its model; like the rest of the cache this is a convenience, which costs no run."""
    try:
        space.save(shelf(cache, space.model_fingerprint, space.encoder_fingerprint))
    except ConfigError as error:
        log.warning("%s; model.key_space=%s does not find it", error, MEASURED)
        return
    log.info("or, until this model is measured again with this cache: model.key_space=%s", MEASURED)


def _log(cfg: DictConfig, space: KeySpace, score: float, row: Row) -> None:
    """The choice under the names that boards and sweeps use; ``row``: the measures of the chosen layer."""
    logger: Any = instantiate(cfg.logger, _convert_="all")
    if logger is None:
        return
    logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))
    chosen = {"layer": float(space.layer), "lam": space.lam, "harmonic_mean": score}
    measured = {name: value for name, value in row.items() if isinstance(value, float)}
    logger.log_metrics({f"topology/{name}": value for name, value in (chosen | measured).items()}, step=0)
    logger.save()


def choose_layer(refs: Sequence[LayerRef], mean: Tensor, pooling: str) -> int:
    """ℓ* = argmax Q_B over the vision blocks; of equal ones the first (paper 3.3).

    Args:
        refs: all layers.
        mean: (layers, poolings, 5) mean over networks.
        pooling: which of :data:`POOLINGS` the key space has.
    """
    which = POOLINGS.index(pooling)
    bimodal = NAMES.index("bimodal_modularity")
    scores = {ref.index: float(mean[place, which, bimodal]) for place, ref in enumerate(refs) if ref.block == "vision"}
    return max(sorted(scores), key=lambda index: scores[index])


def lam_scores(mean: Tensor, criterion: str) -> Tensor:
    """What λ* is greatest in, at each λ: (Λ,) of the means over networks (Λ, 5); ``criterion`` is of ``CRITERIA``."""
    if criterion == "bimodal":
        return mean[:, NAMES.index("bimodal_modularity")]
    return harmonic_mean(mean[:, NAMES.index("vision_modularity")], mean[:, NAMES.index("language_modularity")])


def layer_rows(refs: Sequence[LayerRef], mean: Tensor, spread: Tensor, told: bool) -> list[Row]:
    """A row a layer and pooling: mean and deviation of each measure, (layers, poolings, 5) each.

    ``told``: whether texts were reworded; where not, language bias is ``None``.
    """
    return [
        {
            "block": ref.block,
            "index": ref.index,
            "path": ref.path,
            "pooling": pooling,
            **_measured(mean[place, which], spread[place, which], told),
        }
        for place, ref in enumerate(refs)
        for which, pooling in enumerate(POOLINGS)
    ]


def lam_rows(grid: Tensor, mean: Tensor, spread: Tensor, told: bool) -> list[Row]:
    """A row a λ: the same measures, (Λ, 5) each, and the harmonic mean of the first two."""
    scores = lam_scores(mean, "harmonic")
    return [
        {"lam": float(lam), "harmonic_mean": float(score), **_measured(mean[place], spread[place], told)}
        for place, (lam, score) in enumerate(zip(grid, scores, strict=True))
    ]


def _size_rows(study: Study, refs: Sequence[LayerRef]) -> list[Row]:
    """The rows of every layer for each number of pairs a network (paper A.4)."""
    rows: list[Row] = []
    for pairs in study.layer_networks:
        found = over_networks(torch.stack(study.layers(range(study.options.networks), pairs)), dim=0)
        rows += [{"pairs": pairs, **row} for row in layer_rows(refs, *found, told=study.rewording is not None)]
    return rows


def _measured(mean: Tensor, spread: Tensor, told: bool) -> Row:
    row: Row = {}
    for place, name in enumerate(NAMES):
        known = told or name != "language_bias"
        row[f"{name}_mean"] = float(mean[place]) if known else None
        row[f"{name}_std"] = float(spread[place]) if known else None
    return row


def _calibrated(study: Study, layer: int) -> KeySpace:
    options = study.options
    return calibrate(
        study.vlm,
        study.encoder,
        study.sample,
        layer=layer,
        lam=1.0,
        pooling=options.pooling,
        batch_size=options.batch_size,
        source=f"pictures and questions of {study.data.name}, seed {options.seed}",
    )


def _curves(study: Study, rows: list[Row], lams: list[Row]) -> dict[str, Any]:
    options = study.options
    asked = f"layer: greatest bimodal modularity of a vision block; λ: greatest {CRITERIA[options.lam.criterion]}"
    return {
        "criterion": asked,
        "data": study.data.name,
        "model": PurePath(study.vlm.name).name,
        "seed": options.seed,
        "networks": options.networks,
        "pairs": {"layers": options.pairs, "balance": options.lam.pairs},
        "reworded": study.rewording is not None,
        "layers": rows,
        "balance": lams,
    }


def _devices(cfg: DictConfig, output: Path) -> list[str]:
    """The devices that ``trainer`` asks for, without starting anything on them."""
    from rv_edit.tasks.training import build_trainer

    strategy: Any = build_trainer(cfg, output).strategy
    if int(cfg.trainer.get("num_nodes", 1)) != 1:
        raise ConfigError(f"trainer.num_nodes={cfg.trainer.num_nodes}: task=topology runs on one machine")
    several = getattr(strategy, "parallel_devices", None)
    return [str(device) for device in several or [strategy.root_device]]
