"""Processes started from outside: by torchrun, and jobs of a sweep by submitit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.run.conftest import ROOT

pytestmark = pytest.mark.soak

Command = Callable[..., Any]
FILES = ("codebook.safetensors", "codebook.jsonl")


def outside(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "HYDRA_"))}
    settings = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=1800,
        env={**clean, **settings},
        cwd=ROOT,
    )


@pytest.mark.DDP
@pytest.mark.parametrize("world", [2, 3])
def test_torchrun_is_one_process(command: Command, overrides: list[str], tmp_path: Path, world: int) -> None:
    """Five edits, which neither two nor three ranks share evenly."""
    small = ("dataset.edits=5", "sequential.every=2", "sequential.edits=3")
    alone = command(*small, f"hydra.run.dir={tmp_path / 'alone'}")
    assert alone.returncode == 0, alone.stderr
    kept = [item for item in overrides if item.partition("=")[0] != "dataset.edits"]
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world}", str(ROOT / "run.py")]
    place = f"hydra.run.dir={tmp_path / 'several'}"
    done = outside([*start, *kept, *small, place, f"trainer.devices={world}"])
    assert done.returncode == 0, done.stderr
    for name in FILES:
        one, other = ((tmp_path / run / "codebook" / name).read_bytes() for run in ("alone", "several"))
        assert one == other, name
    left, right = (json.loads((tmp_path / run / "results.json").read_text()) for run in ("alone", "several"))
    for key in ("before", "after", "edits", "codebook", "accept_rate"):
        assert left[key] == right[key], key
    one_curve, other_curve = ([{**point, "seconds_per_edit": 0} for point in run["curve"]] for run in (left, right))
    assert one_curve == other_curve and len(one_curve) == 3


def test_a_sweep_by_submitit(tmp_path: Path) -> None:
    """Each job in a process of its own; on this machine, as there is no Slurm here."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not here")
    done = outside(
        [
            str(ROOT / "run.py"), "-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=20",
            "task=validate_data", "logger=none", "seed=1,2", f"hydra.sweep.dir={tmp_path}",
            "dataset.source._target_=tests.run.tiny_data.load",
        ]
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / name / "data.json").is_file() for name in ("0", "1")] == [True, True]
