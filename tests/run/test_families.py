"""The whole job on every family by ``model=auto``, which reads the checkpoint's config.json."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from rv_edit.errors import ConfigError
from rv_edit.run import run
from rv_edit.vlm import known_families

Composed = Callable[..., DictConfig]
AUTO = ("model=auto", "model.vlm.name=${model.name}", "model.vlm.dtype=float32", "model.rounding=0.001")


def tiny(family: str, folder: Path) -> Path:
    """A tiny checkpoint of a family."""
    home = known_families()[family].__module__.rpartition(".")[2]
    builder: Any = importlib.import_module(f"tests.vlm.tiny_{home}")
    built: Path = builder.build(folder)
    return built


@pytest.mark.parametrize("family", sorted(known_families()))
def test_a_run_of_any_family(composed: Composed, tmp_path: Path, family: str) -> None:
    folder = tiny(family, tmp_path / "model")
    run(composed(*AUTO, f"model.name={folder}"))
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert found["edits"] == 6
    assert found["before"]["acc"]["mean"] == 0.0 and found["before"]["loc"]["mean"] == 1.0
    assert found["after"]["acc"]["n"] == 6 and found["codebook"]["keys"] > 6


def test_an_unknown_family_is_refused_with_the_known_ones(composed: Composed, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(Exception, match="model type 'bert' is unknown") as caught:
        run(composed(*AUTO, f"model.name={tmp_path}"))
    cause = caught.value if isinstance(caught.value, ConfigError) else caught.value.__cause__
    assert isinstance(cause, ConfigError) and "\n" not in str(cause)
    assert str(cause).endswith("known families: instructblip, llava, qwen3_vl")
