"""Runs killed with signal 9 at edits drawn at random and resumed are, in the end, the run that nobody killed."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rv_edit.codebook import Codebook

pytestmark = pytest.mark.soak

Command = Callable[..., Any]
EDITS = 14
FILES = ("codebook.safetensors", "codebook.jsonl")
SMALL = (f"dataset.edits={EDITS}", "callbacks.checkpoint.every_n_edits=1", "sequential.every=5", "sequential.edits=4")
"""With rounds of questions between edits, one of which a kill may hit."""


@pytest.fixture(scope="module")
def uninterrupted(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = command(*SMALL, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    assert len(Codebook.load(folder / "codebook").edit_ids) == EDITS
    return folder


def same_run(one: Path, two: Path) -> None:
    for name in FILES:
        assert (one / "codebook" / name).read_bytes() == (two / "codebook" / name).read_bytes(), name
    assert (one / "answers.jsonl").read_bytes() == (two / "answers.jsonl").read_bytes()
    left, right = (json.loads((folder / "results.json").read_text()) for folder in (one, two))
    for key in ("edits", "before", "after", "accept_rate", "codebook", "kb_per_edit", "skipped"):
        assert left[key] == right[key], key
    one_curve, other_curve = ([{**point, "seconds_per_edit": 0} for point in found["curve"]] for found in (left, right))
    assert one_curve == other_curve and len(one_curve) == 3


RUNS, KILLS = 5, 4
"""Twenty kills in all."""


@pytest.mark.parametrize("seed", range(RUNS))
def test_killed_and_resumed_is_uninterrupted(uninterrupted: Path, command: Command, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    place = (*SMALL, f"hydra.run.dir={tmp_path}")
    for turn, edit in enumerate(sorted(draw.sample(range(1, EDITS), KILLS))):
        kill = "+callbacks.kill={_target_: tests.soak.killing.KillDuring, edit: %d, delay: %f}"
        resume = [] if not turn else ["resume=last"]
        died = command(*place, *resume, kill % (edit, draw.uniform(0.0, 0.1)))
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert not (tmp_path / "results.json").exists() and not (tmp_path / "codebook").exists()
        assert (tmp_path / "checkpoints/last.ckpt").is_file()
    done = command(*place, "resume=last")
    assert done.returncode == 0, done.stderr
    same_run(tmp_path, uninterrupted)


def test_killed_before_the_first_checkpoint(command: Command, tmp_path: Path) -> None:
    place = (f"hydra.run.dir={tmp_path}", "callbacks.checkpoint.every_n_edits=100")
    died = command(*place, "+callbacks.kill={_target_: tests.soak.killing.KillDuring, edit: 2, delay: 0.0}")
    assert died.returncode == -signal.SIGKILL
    refused = command(*place, "resume=last")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and "resume=last: no checkpoint" in refused.stderr
