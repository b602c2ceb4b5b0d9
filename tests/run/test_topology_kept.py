"""What is kept of networks and what a run makes of their measures; measuring itself is replaced by given numbers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from rv_edit.embedding import KeySpace, TextEncoder
from rv_edit.embedding.key_space import POOLINGS
from rv_edit.errors import ConfigError
from rv_edit.run import run
from rv_edit.tasks import sharding, study, topology, topology_figures
from rv_edit.tasks.networks import Network
from rv_edit.tasks.study import Study
from rv_edit.tasks.topology_options import TopologyOptions
from rv_edit.topology import Layout
from rv_edit.vlm import VLM, probe_layers
from tests.run.test_topology import SMALL, rows
from tests.run.tiny_data import picture

Composed = Callable[..., DictConfig]
LAYERS = 6  # of the tiny model: 3 vision blocks, a merger, 2 language layers
SPACE = KeySpace(layer=1, lam=1.0, vision_norm=1.0, text_norm=1.0)
STYLE = "model.vlm.prompt_style={fact_separator: ' ; '}"
GRID = torch.tensor([0.5, 2.0], dtype=torch.float64)


class Given:
    """Stands for both ways of measuring: says which networks were measured, and gives the numbers it was told."""

    def __init__(self) -> None:
        self.measured: list[str] = []
        self.layers = torch.zeros(LAYERS, 2, 5, dtype=torch.float64)
        self.balance = torch.zeros(99, 5, dtype=torch.float64)

    def measure_layers(self, _vlm: VLM, network: Network, *_: Any) -> torch.Tensor:
        self.measured.append(network.digest())
        return self.layers

    def measure_balance(
        self, _vlm: VLM, _encoder: TextEncoder, _space: KeySpace, grid: torch.Tensor, network: Network, *_: Any
    ) -> torch.Tensor:
        self.measured.append(network.digest())
        return self.balance[: len(grid)]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    made = Given()
    monkeypatch.setattr(study, "measure_layers", made.measure_layers)
    monkeypatch.setattr(study, "measure_balance", made.measure_balance)
    return made


@pytest.fixture
def cfg(composed: Composed, tmp_path: Path) -> Composed:
    def make(*more: str) -> DictConfig:
        names = {item.partition("=")[0] for item in more}
        plain = [item.lstrip("+") for item in SMALL]
        kept = [item for item in plain if item.partition("=")[0] not in names]
        return composed(*kept, f"cache={tmp_path / 'cache'}", *more)

    return make


def studied(cfg: DictConfig) -> Study:
    return Study(cfg, TopologyOptions.of(cfg), "cpu")


def test_layers_and_balance_have_networks_of_their_own(cfg: Composed) -> None:
    made = studied(cfg("task.lam.pairs=4", "task.sizes=[3]"))
    kinds: Sequence[list[Network]] = (*made.layer_networks.values(), made.balance_networks)
    assert [len(some) for some in kinds] == [3, 3, 3]
    assert len({network.digest() for some in kinds for network in some}) == 9
    assert [some[0].layout.pairs for some in kinds] == [3, 4, 4]


def test_layouts_have_a_variant_for_each_other_pair_and_never_more_anchors_than_pairs() -> None:
    options = TopologyOptions(anchors=10, around=7)
    assert options.layout(5) == Layout(5, 4, 5, 7) and options.layout(20) == Layout(20, 19, 10, 7)


def test_kept_measures_are_used_while_all_they_depend_on_is_the_same(
    cfg: Composed, given: Given, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = studied(cfg())

    def again(made: Study, space: KeySpace = SPACE, grid: torch.Tensor = GRID) -> tuple[bool, bool]:
        """Whether the layers, and whether the balance, of the same network are measured."""
        made.layer_networks, made.balance_networks = first.layer_networks, first.balance_networks
        told = []
        for measure in (lambda: made.layers([0]), lambda: made.balance(space, grid)[:1]):
            given.measured.clear()
            measure()
            told.append(bool(given.measured))
        return told[0], told[1]

    assert again(first) == (True, True) and again(first) == (False, False) and again(studied(cfg())) == (False, False)
    for other in ({"layer": 0}, {"pooling": "last"}, {"vision_norm": 2.0}, {"text_norm": 2.0}):
        assert again(first, replace(SPACE, **other)) == (False, True), other
    assert again(first, replace(SPACE, lam=3.0)) == (False, False)  # the grid's λ are measured
    assert again(first, grid=2 * GRID) == (False, True)
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    (tiles / "a.png").write_bytes(picture(70).data or b"")
    for option in ("seed=1", "task.augment.area=0.8", f"task.augment.tile_pool={tiles}", "dataset.sample=5", STYLE):
        assert again(studied(cfg(option))) == (True, True), option
    (tiles / "b.png").write_bytes(picture(71).data or b"")  # the folder has the same name still
    assert again(studied(cfg(f"task.augment.tile_pool={tiles}"))) == (True, True)
    (tiles / "b.png").unlink()
    tiles.rename(tmp_path / "moved")
    assert again(studied(cfg(f"task.augment.tile_pool={tmp_path / 'moved'}"))) == (False, False)
    for whose, name, both in (
        (VLM, "fingerprint", True),
        (VLM, "preprocessing", True),
        (TextEncoder, "fingerprint", False),
    ):
        with monkeypatch.context() as patched:
            fixed = property(lambda _self: "other", lambda _self, _value: None)  # whatever it is set to
            patched.setattr(whose, name, fixed, raising=False)
            assert again(studied(cfg())) == (both, True), (whose, name)


@pytest.mark.parametrize("networks", [1, 3])
def test_processes_share_all_sizes_without_measuring_one_twice(cfg: Composed, given: Given, networks: int) -> None:
    composed = cfg("task.sizes=[3]", f"task.networks={networks}")
    options, level = TopologyOptions.of(composed), logging.getLogger().level
    try:
        for rank in range(2):
            sharding._work(OmegaConf.to_container(composed), options, "cpu", rank, 2, None)
    finally:
        logging.getLogger().setLevel(level)
    drawn = studied(composed).layer_networks
    assert len(given.measured) == 2 * networks
    assert set(given.measured) == {network.digest() for some in drawn.values() for network in some}


def test_a_process_that_is_interrupted_ends_without_a_word(cfg: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "measure_layers", interrupted)
    composed, level = cfg(), logging.getLogger().level
    try:
        with pytest.raises(SystemExit, match="130"):
            sharding._work(OmegaConf.to_container(composed), TopologyOptions.of(composed), "cpu", 0, 2, None)
    finally:
        logging.getLogger().setLevel(level)


def test_a_run_by_the_last_token_from_the_layer_to_the_log(
    cfg: Composed, given: Given, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    logged: list[Any] = []
    monkeypatch.setattr(topology, "_log", lambda cfg, *told: logged.append(told))
    given.layers[:, 0, 2] = torch.tensor([0.1, 0.9, 0.1, 0.1, 0.1, 0.1])
    given.layers[:, 1, 2] = torch.tensor([0.1, 0.1, 0.5, 0.1, 0.1, 0.1])
    given.balance[:, :2] = torch.linspace(0.1, 0.4, 99, dtype=torch.float64)[:, None]
    with caplog.at_level(logging.INFO):
        space = run(cfg("task.pooling=last", "task.lam.points=5", "dataset.rewording=null", "task.sizes=[3]", "seed=2"))
    assert (space.layer, space.pooling, space.lam) == (2, "last", 20.0) and space.vision_norm != 1.0
    ((told, score, row),) = logged
    assert told == space and score == pytest.approx(float(given.balance[4, 0]))
    assert (row["block"], row["index"], row["pooling"]) == ("vision", 2, "last")
    assert "λ lies at the end of the grid" in caplog.text and space.curves["seed"] == 2
    sizes = rows(tmp_path / "out" / "sizes.csv")
    assert {row["language_bias_mean"] for row in sizes} == {""} and "seed 2" in space.calibration["source"]
    caplog.clear()
    given.balance[3, :2] = 0.9
    with caplog.at_level(logging.INFO):
        inner = run(cfg("task.lam.points=5", "cache=null"))
    assert (inner.layer, inner.pooling) == (1, "mean") and 0.05 < inner.lam < 20
    assert "end of the grid" not in caplog.text


def test_mean_and_deviation_are_in_the_columns_of_their_names() -> None:
    (row,) = topology.lam_rows(GRID[:1], torch.full((1, 5), 0.5), torch.full((1, 5), 0.125), told=True)
    assert {value for name, value in row.items() if name.endswith("_mean") and name != "harmonic_mean"} == {0.5}
    assert {value for name, value in row.items() if name.endswith("_std")} == {0.125} and row["harmonic_mean"] == 0.5


def test_pictures_of_single_layers_are_of_the_most_biased_ones(cfg: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    made = studied(cfg("task.figures={pairs: 3}"))
    network, images = made.pictured()
    chosen = {("vision", 2, "last"), ("language", 1, "mean")}
    table = [
        {"block": ref.block, "index": ref.index, "pooling": pooling}
        | {f"{part}_bias_mean": float((ref.block, ref.index, pooling) in chosen) for part in ("vision", "language")}
        for ref in made.vlm.layer_refs()
        for pooling in POOLINGS
    ]
    monkeypatch.setattr(topology_figures, "_panel", lambda _study, _network, embeddings, title: (embeddings, title))
    found: Any = topology_figures._biased(made, network, images, table)
    states = probe_layers(made.vlm, images, network.texts)
    refs = {(ref.block, ref.index): ref for ref in states}
    for (embeddings, title), (block, index, pooling) in zip(found, sorted(chosen, reverse=True), strict=True):
        torch.testing.assert_close(
            embeddings, states[refs[block, index]][POOLINGS.index(pooling)], atol=1e-4, rtol=1e-4
        )
        assert title.startswith(f"{block} layer {index}, {pooling}".replace("last", "last token"))


def test_curves_without_a_choice_do_not_stand_beside_an_earlier_one(
    cfg: Composed, given: Given, tmp_path: Path
) -> None:
    given.balance[:, :2] = 0.3
    run(cfg("cache=null"))
    assert (tmp_path / "out" / "key_space.json").is_file()
    given.balance[:, 0] = -0.1
    with pytest.raises(ConfigError, match=r"no λ .* widen the grid or give more task\.lam\.pairs"):
        run(cfg("cache=null"))
    assert not (tmp_path / "out" / "key_space.json").exists()


def test_sizes_of_an_earlier_run_do_not_stand_beside_other_curves(cfg: Composed, given: Given, tmp_path: Path) -> None:
    given.balance[:, :2] = 0.3
    run(cfg("cache=null", "task.sizes=[3]"))
    assert (tmp_path / "out" / "sizes.csv").is_file()
    run(cfg("cache=null"))
    assert not list((tmp_path / "out").glob("sizes.*")) and (tmp_path / "out" / "layers.csv").is_file()


def test_a_cache_that_cannot_be_written_costs_no_run(
    cfg: Composed, given: Given, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    given.balance[:, :2] = 0.3
    space = run(cfg(f"cache={tmp_path / 'file'}"))
    assert KeySpace.load(tmp_path / "out" / "key_space.json") == space
    assert "model.key_space=measured does not find it" in caplog.text


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("task.lam.pairs=400", "give fewer task.lam.pairs"),
        ("task.figures={pairs: 400}", "give fewer task.figures.pairs"),
        ("task.sizes=[400]", "give fewer task.sizes"),
        ("task.lam.high=1e39", "task.lam.low=0.05, high=1e+39"),
        ("task.lam.low=1e-39", "task.lam.low=1e-39"),
        ("model.name=???", "model.name has no value"),
        ("task.augment.tile_pool=3", "task.augment.tile_pool"),
        ("task.augment.tile_pool=/nowhere", "/nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said_before_the_model_is_read(cfg: Composed, option: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(cfg(option, "model.vlm.name=/no/model"))
    assert said in str(caught.value) and "\n" not in str(caught.value)
