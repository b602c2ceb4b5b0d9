"""Every contract test is collected for every family, and none of them can be skipped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from rv_edit.vlm import known_families

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CONTRACT = ("test_layers.py", "test_loading.py", "test_prompts.py", "test_scoring.py")
CASES = 49
"""Contract cases of one family; whoever adds a test to the contract raises it."""


def test_every_family_meets_every_case() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *(str(HERE / name) for name in CONTRACT)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases: dict[str, Counter[str]] = defaultdict(Counter)
    for line in done.stdout.splitlines():
        found = re.fullmatch(r"\S+?/(test_\w+\.py::\w+)\[(.*)\]", line)
        family = next((name for name in known_families() if found and name in found[2].split("-")), None)
        if found and family:
            cases[family][found[1] + found[2].replace(family, "")] += 1
    assert set(cases) == set(known_families()) >= {"llava", "instructblip", "qwen3_vl"}
    one = next(iter(cases.values()))
    assert all(found == one for found in cases.values())
    assert sum(one.values()) == CASES


def test_nothing_in_the_contract_skips() -> None:
    for name in (*CONTRACT, "conftest.py"):
        assert not re.search(
            r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b", (HERE / name).read_text(encoding="utf-8")
        ), name
