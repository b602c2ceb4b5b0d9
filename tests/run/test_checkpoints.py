"""A whole run by a configuration of the paper's models, in bf16, on a tiny checkpoint as the hub has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from rv_edit.run import run
from tests.vlm.hub_layouts import LAYOUTS
from tests.vlm.tiny_llava import build


@pytest.mark.parametrize("config", ["llava_1_5_7b"])
def test_a_run_by_the_configuration(composed: Callable[..., DictConfig], tmp_path: Path, config: str) -> None:
    """The unedited model errs as mined although batches differ, and edits go in and come out."""
    folder = LAYOUTS[config]["of 2025"](build(tmp_path / "made"), tmp_path / "hub")
    cfg = composed(f"model={config}", f"model.vlm.name={folder}", "scoring.batch_size=5")
    assert cfg.model.vlm.dtype == "bfloat16" and cfg.model.rounding == 0.5
    run(cfg)
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert 0 < found["edits"] <= 6 and found["codebook"]["keys"] > found["edits"]
    assert found["before"]["acc"]["mean"] == 0.0 and found["before"]["loc"]["mean"] == 1.0
    assert found["after"]["acc"]["n"] == found["edits"]
