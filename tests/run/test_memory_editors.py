"""``task=edit`` with the editors that remember: from options to output folder, and on from there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from rv_edit.run import run

Composed = Callable[..., DictConfig]
SHORT = ("editor.training.steps=15", "editor.training.least_steps=5")
COMMANDS = {
    "grace": ("editor=grace", *SHORT, "editor.epsilon_share=0.01"),
    "grace_cot": ("editor=grace_cot", *SHORT, "editor.epsilon_share=0.01"),
    "balancedit": ("editor=balancedit", *SHORT),
    "balancedit_cot": ("editor=balancedit_cot", *SHORT),
    "ike": ("editor=ike",),
    "ike_cot": ("editor=ike_cot",),
}


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_edits_asks_saves_and_goes_on(name: str, composed: Composed, tmp_path: Path) -> None:
    command = COMMANDS[name]
    run(composed(*command, "dataset.edits=5", out="whole"))
    whole = results(tmp_path / "whole")
    assert whole["edits"] == 5 and not whole["skipped"] and whole["kb_per_edit"] > 0
    assert whole["before"]["acc"]["mean"] == 0.0 and whole["before"]["loc"]["mean"] == 1.0
    assert 0 <= whole["accept_rate"]["acc"] <= 1
    entries = 10 if name.endswith("_cot") and not name.startswith("balancedit") else 5
    assert whole["codebook"]["keys"] == entries, "one fact an edit in this data set"
    run(composed(*command, "dataset.edits=3", out="first"))
    run(composed(*command, "dataset.edits=2", f"codebook={tmp_path / 'first/codebook'}", out="second"))
    assert results(tmp_path / "second")["codebook"] == whole["codebook"]
    run(composed(*command, "dataset.edits=0", f"codebook={tmp_path / 'whole/codebook'}", out="again"))
    assert results(tmp_path / "again")["after"] == whole["after"]


def test_single_edits_are_undone(composed: Composed, tmp_path: Path) -> None:
    run(composed(*COMMANDS["grace"], "dataset.edits=3", "protocol=single"))
    assert results(tmp_path / "out")["after"]["loc"]["mean"] == 1.0


@pytest.mark.DDP
@pytest.mark.parametrize("name", ["grace_cot", "balancedit"])
def test_two_ranks_are_one_process(name: str, composed: Composed, command: Callable[..., Any], tmp_path: Path) -> None:
    run(composed(*COMMANDS[name], "dataset.edits=3"))
    done = command(*COMMANDS[name], "dataset.edits=3", f"hydra.run.dir={tmp_path / 'two'}", "trainer.devices=2")
    assert done.returncode == 0, done.stderr
    one, two = (tmp_path / folder / "codebook/entries.safetensors" for folder in ("out", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert results(tmp_path / "two")["after"] == results(tmp_path / "out")["after"]
