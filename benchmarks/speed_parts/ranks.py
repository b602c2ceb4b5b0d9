"""Edits on two ranks against one: whole runs of ``run.py``, each rank with a core of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.speed_parts.common import Options, Part, Row, machine

ROOT = Path(__file__).resolve().parents[2]
TARGET, RANKS, EDITS = 1.8, 2, 100


def measure(options: Options) -> Part:
    """The time of all edits, starting up left out, in runs that take turns; the codebooks must be byte-equal."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    edits, rounds = options.of(EDITS, 4), min(options.rounds, 3)
    seconds: dict[int, list[float]] = {1: [], RANKS: []}
    checksums: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            for ranks in (RANKS, 1):
                found = run(Path(folder) / f"{turn}-{ranks}", ranks, edits)
                seconds[ranks].append(found["timings"]["editing"])
                checksums.add(found["codebook"]["checksum"])
    assert len(checksums) == 1, "two ranks made another codebook than one"
    row = Row.timed(
        f"{edits} edits on {RANKS} ranks",
        seconds[RANKS],
        seconds[1],
        "one rank",
        TARGET if cores >= RANKS else None,
        per=edits,
        agrees="byte-equal codebooks",
        unit="s an edit",
    )
    notes = [] if cores >= RANKS else [f"Only {cores} core here: {RANKS} ranks cannot be judged."]
    about = {**machine(options), "clock": "wall clock", "threads": RANKS, "rounds": rounds}
    return Part([row], notes, about)


def run(folder: Path, ranks: int, edits: int) -> dict[str, Any]:
    """``results.json`` of a run."""
    command = [sys.executable, "run.py", "trainer=ddp_sim", f"trainer.devices={ranks}", f"dataset.edits={edits}"]
    command += ["dataset.loc_random=1", "dataset.loc_similar=1", "logger=none", "callbacks=none"]
    command.append(f"hydra.run.dir={folder}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found
