"""The suites are the same in every process: nothing in them follows the order of a set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rv_edit.pocket.describe import Description
from tests.source_tree import ROOT

SUITES = """
import hashlib, sys
from pathlib import Path
from rv_edit.pocket.dataset import load
digest = hashlib.sha256()
bundle = load(sys.argv[1], Path(sys.argv[2]), questions=60)
for record in bundle.records:
    edit, suites = record.as_edit(), bundle.provider
    chain = suites.coe_gen(edit, record, tuple(range(len(record.reasoning))))
    for asked in (suites.t_gen, suites.i_gen, suites.r_gen, suites.contrast):
        chain += asked(edit, record)
    digest.update(repr([(q.id, q.text, q.choices, q.target, q.image.sha) for q in chain]).encode())
print(digest.hexdigest())
"""


def test_one_value_a_slot() -> None:
    with pytest.raises(ValueError, match="two values for one slot"):
        Description(frozenset({("left", "lamp"), ("left", "bell")}))


@pytest.mark.parametrize("name", ["aokvqa", "fvqa"])
def test_suites_do_not_depend_on_the_process(name: str, tmp_path: Path) -> None:
    made = [
        subprocess.run(
            [sys.executable, "-c", SUITES, name, str(tmp_path / seed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1] != ""
