"""``task=topology`` on models of odd shapes: one vision block, packed pictures, a class token first, a Q-Former."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from rv_edit.embedding import KeySpace
from rv_edit.errors import ConfigError
from rv_edit.run import run
from rv_edit.vlm import VLM, known_families, load_vlm, probe_layers
from tests.run.test_families import AUTO, tiny
from tests.run.test_topology import FIGURES, SMALL
from tests.vlm.tiny_llava import build

Composed = Callable[..., DictConfig]
FEW = [*(item.lstrip("+") for item in SMALL if "networks" not in item), "task.networks=2"]


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def text_is_not_seen(table: list[dict[str, str]]) -> None:
    """In a layer that sees the picture alone all texts on it are one point: nearer than anything else."""
    for row in table:
        if row["block"] == "vision":
            assert float(row["vision_bias_mean"]) > 0 > float(row["language_bias_mean"])
            assert float(row["vision_modularity_mean"]) > float(row["language_modularity_mean"])


@pytest.mark.parametrize("family", sorted(known_families()))
def test_every_family(composed: Composed, tmp_path: Path, family: str) -> None:
    folder = tiny(family, tmp_path / "model")
    cache = f"cache={tmp_path / 'cache'}"
    space = run(composed(*AUTO, f"model.name={folder}", *FEW, cache))
    vlm = load_vlm(str(folder))
    table = rows(tmp_path / "out" / "layers.csv")
    assert [(row["block"], int(row["index"])) for row in table[::2]] == [
        (ref.block, ref.index) for ref in vlm.layer_refs()
    ]
    assert 0 <= space.layer < vlm.num_vision_layers and space.model_fingerprint == vlm.fingerprint
    assert all(torch.isfinite(torch.tensor(float(value))) for row in table for value in list(row.values())[4:])
    text_is_not_seen(table)
    run(composed(*AUTO, f"model.name={folder}", cache, "model.key_space=measured", "dataset.edits=2", out="edited"))
    assert KeySpace.load(tmp_path / "edited" / "codebook" / "key_space.json") == space


def test_one_vision_block(composed: Composed, tmp_path: Path) -> None:
    folder = build(tmp_path / "model", blocks=1, read=-1)
    drawn = [item for item in FEW if not item.startswith("task.figures")]
    space = run(composed(f"model.vlm.name={folder}", *drawn, FIGURES, f"cache={tmp_path / 'cache'}"))
    table = rows(tmp_path / "out" / "layers.csv")
    assert space.layer == 0 and sum(row["block"] == "vision" for row in table) == 2
    assert (tmp_path / "out" / "layers.png").is_file() and (tmp_path / "out" / "networks.png").is_file()
    text_is_not_seen(table)


def test_no_block_keeps_pairs_together_is_said(
    composed: Composed, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that all look alike: every vision block is one point, and there is nothing to balance."""
    from rv_edit.tasks import study

    real = study.measure_layers

    def blind(vlm: VLM, network: object, images: list, *rest: object) -> torch.Tensor:
        return real(vlm, network, [images[0]] * len(images), *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(study, "measure_layers", blind)
    with caplog.at_level(logging.INFO):
        run(composed(*FEW, f"cache={tmp_path / 'cache'}"))
    table = rows(tmp_path / "out" / "layers.csv")
    assert max(float(row["bimodal_modularity_mean"]) for row in table if row["block"] == "vision") <= 0
    assert "bimodal modularity is nowhere above 0" in caplog.text


def test_a_block_that_pictures_do_not_reach_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    vlm = load_vlm(str(build(tmp_path / "model")))
    image = Image.new("RGB", (32, 32), "red")
    known = vlm.encode_images([image])
    monkeypatch.setattr(vlm, "image_rows", lambda pixels: list(known.rows))
    with pytest.raises(ConfigError, match=r"layers\.0 does not run when a picture is read") as caught:
        probe_layers(vlm, [image], ["a cat"])
    assert "\n" not in str(caught.value)
