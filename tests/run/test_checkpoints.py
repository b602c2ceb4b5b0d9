"""A whole run by a configuration of the paper's models, in bf16, on a tiny checkpoint as the hub has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from rv_edit.run import run
from tests.realpack import REALPACK, needs_realpack
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


@needs_realpack
@pytest.mark.DDP
@pytest.mark.soak
def test_the_papers_command_on_real_photos(command: Callable[..., Any], tmp_path: Path) -> None:
    """``editor=reasonedit model=llava_1_5_7b dataset=aokvqa`` on two devices; but for the sizes, nothing is another."""
    folder = LAYOUTS["llava_1_5_7b"]["of 2025"](build(tmp_path / "made"), tmp_path / "hub")
    data = [f"dataset.root={REALPACK}", "dataset.split=val", "dataset.source._target_=data_modules.sources.load_aokvqa"]
    few = ["dataset.edits=3", "dataset.loc_random=2", "dataset.loc_similar=2", f"cache={tmp_path / 'cache'}"]
    paper = ["editor=reasonedit", "model=llava_1_5_7b", "dataset=aokvqa", "trainer.devices=2"]
    done = command(*paper, f"model.vlm.name={folder}", *data, *few, f"hydra.run.dir={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (
        "39 records kept" in done.stdout + done.stderr and "1,145 on 1,122 were published" in done.stdout + done.stderr
    )
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert found["edits"] == 3 and found["codebook"]["keys"] > 3 and not found["skipped"]
    assert found["before"]["acc"]["mean"] == 0.0 and found["before"]["loc"]["mean"] == 1.0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"answers.jsonl", "codebook", "gallery.html"}
