"""``task=topology`` from options to an artefact that an edit run takes."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from rv_edit.embedding import KeySpace
from rv_edit.errors import ConfigError
from rv_edit.run import run
from rv_edit.tasks import sharding, study
from rv_edit.tasks.topology import choose_layer
from rv_edit.tasks.topology_options import TopologyOptions
from rv_edit.topology import harmonic_mean
from rv_edit.vlm import LayerRef

Composed = Callable[..., DictConfig]
FIGURES = "task.figures={pairs: 3, neighbours: 3, edges: 2}"
SMALL = (
    "task=topology",
    "task.networks=3",
    "task.pairs=4",
    "task.anchors=2",
    "task.around=2",
    "task.lam.pairs=6",
    "task.lam.points=17",
    "task.figures=null",
    "+dataset.rewording=tests.run.tiny_data.reword",
)


@pytest.fixture
def small(composed: Composed) -> Composed:
    """The task on networks of a few nodes."""

    def make(*more: str, out: str = "out") -> DictConfig:
        given = {item.partition("=")[0].lstrip("+") for item in more}
        kept = [item.lstrip("+") for item in SMALL if item.partition("=")[0].lstrip("+") not in given]
        return composed(*kept, *[item.lstrip("+") for item in more], out=out)

    return make


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word for each network that is really measured."""
    calls: list[str] = []
    for name in ("measure_layers", "measure_balance"):
        real = getattr(study, name)

        def measured(*args: Any, name: str = name, real: Any = real) -> Any:
            calls.append(name)
            return real(*args)

        monkeypatch.setattr(study, name, measured)
    return calls


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_artefact_and_curves(small: Composed, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        space = run(small(f"cache={tmp_path / 'cache'}", FIGURES))
    out = tmp_path / "out"
    assert KeySpace.load(out / "key_space.json") == space and f"model.key_space={out}" in caplog.text
    layers, lams = rows(out / "layers.csv"), rows(out / "balance.csv")
    assert len(layers) == 2 * (3 + 1 + 2) and {row["pooling"] for row in layers} == {"mean", "last"}
    assert [row["block"] for row in layers[::2]] == ["vision"] * 3 + ["merger"] + ["language"] * 2
    best = max(
        (row for row in layers if row["block"] == "vision" and row["pooling"] == "mean"),
        key=lambda row: float(row["bimodal_modularity_mean"]),
    )
    assert space.layer == int(best["index"]) and space.pooling == "mean"
    np.testing.assert_allclose([float(row["lam"]) for row in lams], np.geomspace(0.05, 20, 17))
    v, q = ([float(row[f"{name}_modularity_mean"]) for row in lams] for name in ("vision", "language"))
    expected = [2 * a * b / (a + b) if a > 0 and b > 0 else 0.0 for a, b in zip(v, q, strict=True)]
    np.testing.assert_allclose([float(row["harmonic_mean"]) for row in lams], expected, atol=1e-12)
    assert space.lam == float(lams[int(np.argmax(expected))]["lam"]) and max(expected) > 0
    assert v[0] > v[-1] and q[0] < q[-1]  # the trade-off
    stored = json.loads((out / "key_space.json").read_text())["curves"]
    assert stored["networks"] == 3 and stored["seed"] == 0 and stored["pairs"] == {"layers": 4, "balance": 6}
    for name, table in (("layers", layers), ("balance", lams)):
        told = [{key: str(value) for key, value in row.items()} for row in stored[name]]
        assert told == table
    assert all(float(row[f"{name}_std"]) >= 0 for row in layers for name in ("vision_bias", "bimodal_modularity"))
    assert not list(out.glob(".*")) and space.calibration["pairs"] == 4
    assert {path.stem for path in out.glob("*.png")} == {"layers", "balance", "biased", "networks"}
    nodes = rows(out / "networks.csv")
    assert len(nodes) == 3 * (3 * 3 + 3 * 2) and len(rows(out / "biased.csv")) == 2 * (3 * 3 + 3 * 2)
    assert [row["panel"].split(" = ")[0] for row in nodes[::15]] == ["small λ", "balanced λ", "large λ"]
    assert f"balanced λ = {space.lam:.3g}," in nodes[15]["panel"]
    assert "λ = 0.05," in nodes[0]["panel"] and "λ = 20," in nodes[-1]["panel"]


def test_an_edit_run_takes_the_artefact_and_says_so(
    small: Composed, composed: Composed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = run(small(f"cache={tmp_path / 'cache'}"))
    artefact = tmp_path / "out" / "key_space.json"
    with caplog.at_level(logging.INFO):
        run(composed(f"model.key_space={artefact}", "dataset.edits=2", out="edited"))
    assert f"keys: vision layer {space.layer}, mean pooling, λ = {space.lam:.3g} ({artefact})" in caplog.text
    assert KeySpace.load(tmp_path / "edited" / "codebook" / "key_space.json") == space


def test_interrupted_and_resumed_is_uninterrupted(
    small: Composed, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = f"cache={tmp_path / 'cache'}"
    whole = run(small(f"cache={tmp_path / 'other'}", out="whole"))
    assert counted == ["measure_layers"] * 3 + ["measure_balance"] * 3
    counted.clear()
    real = study.measure_layers

    def stop_at_the_third(*args: Any) -> Any:
        if len(counted) == 2:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(study, "measure_layers", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            run(small(cache))
    assert counted == ["measure_layers"] * 2 and not (tmp_path / "out" / "key_space.json").exists()
    counted.clear()
    assert run(small(cache)) == whole
    assert counted == ["measure_layers"] + ["measure_balance"] * 3
    for name in ("layers.csv", "balance.csv", "key_space.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    counted.clear()
    run(small(cache, "task.networks=4"))  # more networks: the known ones are kept
    assert counted == ["measure_layers", "measure_balance"] or counted == ["measure_layers"] + ["measure_balance"] * 4
    counted.clear()
    run(small(cache, "task.augment.area=0.8"))
    assert counted[:3] == ["measure_layers"] * 3


def test_without_rewording_language_bias_is_left_empty(
    small: Composed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run(small(f"cache={tmp_path / 'cache'}", "+dataset.rewording=null"))
    assert "language bias cannot be told" in caplog.text
    found = rows(tmp_path / "out" / "layers.csv")
    assert {row["language_bias_mean"] for row in found} == {""} and float(found[0]["vision_bias_mean"]) > 0


def test_further_sizes_are_measured_and_kept(small: Composed, tmp_path: Path, counted: list[str]) -> None:
    cache = f"cache={tmp_path / 'cache'}"
    run(small(cache, "task.sizes=[3,4,2]", FIGURES))
    assert counted == ["measure_layers"] * 3 + ["measure_balance"] * 3 + ["measure_layers"] * 6
    found = rows(tmp_path / "out" / "sizes.csv")
    layers = rows(tmp_path / "out" / "layers.csv")
    assert [row["pairs"] for row in found] == ["2"] * len(layers) + ["3"] * len(layers) + ["4"] * len(layers)
    told = [{name: value for name, value in row.items() if name != "pairs"} for row in found[-len(layers) :]]
    assert told == layers and (tmp_path / "out" / "sizes.png").is_file()
    counted.clear()
    run(small(cache, "task.sizes=[3]", out="again"))
    assert counted == [] and not list((tmp_path / "again").glob("*.png"))


@pytest.mark.DDP
def test_two_processes_give_what_one_gives(small: Composed, tmp_path: Path, counted: list[str]) -> None:
    alone = run(small(f"cache={tmp_path / 'one'}"))
    counted.clear()
    both = run(small(f"cache={tmp_path / 'two'}", "trainer.devices=2", out="both"))
    assert both == alone and counted == ["measure_balance"] * 3


@pytest.mark.parametrize(
    ("option", "ours", "said"),
    [
        ("+dataset.rewording=tests.run.tiny_data.none", True, "no such function"),
        ("model.vlm.name=/nowhere/llava", True, "/nowhere/llava"),  # wrapped by Hydra, which loads the model
        ("+dataset.rewording=math.hypot", False, "must be real number"),
    ],
)
def test_a_process_that_fails_says_why(small: Composed, option: str, ours: bool, said: str) -> None:
    cfg, failures, level = small(option), SimpleQueue(), logging.getLogger().level
    try:
        sharding._work(OmegaConf.to_container(cfg), TopologyOptions.of(cfg), "cpu", 0, 2, failures)
    finally:
        logging.getLogger().setLevel(level)
    known, message = failures.get()
    assert known == ours and said in message and ("\n" in message) != ours


def test_several_devices_need_a_cache(small: Composed) -> None:
    with pytest.raises(ConfigError, match="meet in cache="):
        run(small("cache=null", "trainer.devices=2"))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("task.networks=0", "task.networks"),
        ("task.networks=many", "task.networks"),
        ("task.pairs=1", "task.pairs"),
        ("task.pairs=400", "task.pairs"),
        ("task.sizes=[1]", "task.sizes"),
        ("task.sizes=3", "task.sizes"),
        ("task.sizes=[400]", "task.sizes"),
        ("task.figures=3", "task.figures"),
        ("task.figures={pairs: 1}", "task.figures.pairs"),
        ("task.figures={edges: many}", "task.figures.edges"),
        ("task.anchors=0", "task.anchors"),
        ("task.around=0", "task.around"),
        ("task.pooling=median", "mean, last"),
        ("task.facts=/nowhere.txt", "task.facts"),
        ("task.facts=3", "task.facts"),
        ("task.fact_count=0", "task.fact_count"),
        ("task.lam.low=0", "task.lam"),
        ("task.lam.high=.inf", "task.lam"),
        ("task.lam.points=1", "task.lam.points"),
        ("task.lam=3", "task.lam"),
        ("task.lam.pairs=1", "task.lam.pairs"),
        ("task.lam.criterion=best", "harmonic, bimodal"),
        ("task.augment.area=2", "area"),
        ("task.augment.area=wide", "task.augment.area"),
        ("task.augment=3", "task.augment"),
        ("dataset.sample=0", "dataset.sample"),
        ("task.pairs=40", "dataset.sample"),  # every picture is in the network: none is left for mismatches
        ("seed=-1", "seed"),
        ("+dataset.rewording=tests.run.tiny_data.none", "dataset.rewording"),
        ("trainer.num_nodes=2", "num_nodes"),
    ],
)
def test_bad_options_are_one_line(small: Composed, option: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(small("task.networks=1", option) if "networks" not in option else small(option))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_lambda_by_the_layers_criterion(small: Composed, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        space = run(small("cache=null", "task.figures=null", "task.lam.criterion=bimodal"))
    lams = rows(tmp_path / "out" / "balance.csv")
    best = max(lams, key=lambda row: float(row["bimodal_modularity_mean"]))
    assert space.lam == float(best["lam"]) != float(max(lams, key=lambda row: float(row["harmonic_mean"]))["lam"])
    assert space.curves["criterion"].endswith("λ: greatest bimodal modularity")
    assert f"(bimodal modularity {float(best['bimodal_modularity_mean']):.3f})" in caplog.text


def test_no_balance_is_said_with_the_curves_written(small: Composed, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task\.lam: no λ"):
        run(small(f"cache={tmp_path / 'cache'}", "task.lam.low=1e-9", "task.lam.high=1e-8"))
    assert max(float(row["harmonic_mean"]) for row in rows(tmp_path / "out" / "balance.csv")) == 0.0
    assert not (tmp_path / "out" / "key_space.json").exists()


def test_the_layer_is_the_best_vision_block_by_bimodal_modularity() -> None:
    refs = [LayerRef("vision", n, f"v{n}", 4, False) for n in range(3)] + [LayerRef("language", 0, "l", 4, True)]
    mean = torch.zeros(4, 2, 5)
    mean[:, 0, 2] = torch.tensor([0.1, 0.3, 0.3, 0.9])
    mean[:, 1, 2] = torch.tensor([0.4, 0.1, 0.1, 0.9])
    assert choose_layer(refs, mean, "mean") == 1 and choose_layer(refs, mean, "last") == 0
    assert choose_layer(refs[:1], mean, "mean") == 0
    assert float(harmonic_mean(mean[0, 0, 2], mean[0, 1, 2])) == pytest.approx(0.16)


def refused(cfg: DictConfig, said: str) -> None:
    """A run that ends with one line; Hydra wraps what a constructor raises, and the command line unwraps it."""
    with pytest.raises(Exception, match="model.key_space=measured") as caught:
        run(cfg)
    cause = caught.value if isinstance(caught.value, ConfigError) else caught.value.__cause__
    assert isinstance(cause, ConfigError) and said in str(cause) and "\n" not in str(cause)


def test_the_measured_key_space_of_a_model_is_taken_by_name(
    small: Composed, composed: Composed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = f"cache={tmp_path / 'cache'}"
    refused(composed(cache, "model.key_space=measured", out="edited"), "run task=topology with the same model")
    space = run(small(cache))
    with caplog.at_level(logging.INFO):
        run(composed(cache, "model.key_space=measured", "dataset.edits=2", out="edited"))
    assert f"vision layer {space.layer}, mean pooling, λ = {space.lam:.3g} ({tmp_path / 'cache'}" in caplog.text
    assert KeySpace.load(tmp_path / "edited" / "codebook" / "key_space.json") == space
    refused(composed("cache=null", "model.key_space=measured", out="none"), "in cache=null")


def test_a_run_with_the_keys_of_a_language_layer(
    composed: Composed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        result = run(composed("model.key_space={block: language, layer: 1, lam: 0.0, pooling: last, pairs: 4}"))
    assert "keys: language layer 1, last pooling, λ = 0 (norms measured" in caplog.text
    assert result.metrics["after"]["acc"]["n"] == 6 and result.accept_rate["acc"] == 1.0
