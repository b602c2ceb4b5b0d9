"""The benchmark at real sizes runs from end to end, small; its page judges only what was measured at real size."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from rv_edit.codebook import Codebook
from rv_edit.codebook.packing import widen

ROOT = Path(__file__).parents[2]
SMALL = [
    "--device", "cpu", "--scale", "0.01", "--sizes", "96x72,72x96", "--edits", "1", "--fill", "3", "--questions", "2",
    "--rounds", "1", "--mined", "2", "--pairs", "2", "--sample", "4",
]  # fmt: skip


def run(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/real_sizes.py"), *SMALL, "--out", str(out), *more],
        capture_output=True,
        text=True,
        timeout=1800,
        cwd=out.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def checked(out: Path, name: str) -> None:
    """Every stage ran on the real classes, nothing was skipped, and the plain model got the same prompts."""
    results = json.loads((out / "real_sizes.json").read_text())
    (found,) = results["models"].values()
    assert list(results["models"]) == [name] and results["options"]["scale"] == 0.01
    assert found["edit"]["edits"] == 1 and found["edit"]["median_s"] > 0
    # the answer, and for each of three facts one or two crops, with the whole picture where the options say so
    assert 4 <= found["edit"]["entries_an_edit"] <= 10
    for stage, questions in (("answer_batch", 2), ("answer_single", 1)):
        one = found[stage]
        assert one["questions"] == questions and one["facts_a_question"] == 5  # as many as are retrieved at most
        assert one["keys"] > 4 * 4  # three edits, two of them to warm up, and three that were made up; some may merge
        assert one["largest_score_difference"] < 1e-3
        edited, plain = one["edited"]["median_s"], one["plain"]["median_s"]
        assert one["our_share"] == pytest.approx((edited - plain) / plain)
    mining = found["mining"]
    assert mining["hours_for_18000"] == pytest.approx(mining["seconds"] / 2 * 5)
    assert found["topology"]["nodes"] == 4 + 2 + 4 * 2 * 2
    text = (out / "real_sizes.md").read_text()
    assert f"## `{name}`" in text and text.count("not judged") == 3 and "96×72, 72×96" in text
    assert {path.name for path in out.iterdir()} == {"real_sizes.json", "real_sizes.md"}


@pytest.mark.soak
def test_it_runs_small(tmp_path: Path) -> None:
    done = run(tmp_path / "out", "--models", "qwen3_vl_8b")
    assert done.returncode == 0, done.stderr[-3000:]
    checked(tmp_path / "out", "qwen3_vl_8b")


@pytest.mark.soak
def test_the_other_model_runs_small(tmp_path: Path) -> None:
    done = run(tmp_path / "out", "--models", "llava_1_5_7b")
    assert done.returncode == 0, done.stderr[-3000:]
    checked(tmp_path / "out", "llava_1_5_7b")


def module(name: str) -> ModuleType:
    """A file of benchmarks/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"benchmarks/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("bits", [16, 8])
def test_made_up_keys_lie_about_the_known_ones(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a codebook keeps its keys: packed rows are no numbers."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    book = Codebook(70, key_bits=bits, merge="off")
    known = 3 + torch.randn(4, 70, generator=torch.Generator().manual_seed(1))
    book.insert("real", known, [f"Sentence {row}." for row in range(4)], [0.0] * 4, ["answer", *["reasoning"] * 3])
    bench = SimpleNamespace(editor=SimpleNamespace(codebook=book), found={"edit": {"entries_an_edit": 2.0}})
    importlib.import_module("real_sizes").fill(bench, 3)
    made = widen(book.keys)[4:]
    assert made.shape == (6, 70)
    assert (torch.cdist(made, known).amin(dim=1) < 0.5 * torch.cdist(known, known).amax()).all()


def measured(edit: float, share: float, memory: float) -> dict[str, Any]:
    """What a GPU would give, with some figures of one's own."""
    answer = {
        "questions": 32, "facts_a_question": 5.0, "keys": 1400, "our_share": share, "beyond_weights_gb": memory,
        "edited": {"median_s": 0.02, "p90_s": 0.03}, "plain": {"median_s": 0.01, "p90_s": 0.01},
    }  # fmt: skip
    return {
        "options": {"scale": 1.0, "device": "cuda", "sizes": [[640, 480]]},
        "machine": {"device": "a GPU", "torch": "2", "transformers": "5"},
        "models": {
            "x": {
                "model": {"parameters": 7e9, "weights_gb": 14.0, "image_tokens": 576, "batch_tokens": 3072},
                "edit": {"median_s": edit, "p90_s": 5.0, "entries_an_edit": 6.0, "beyond_weights_gb": 1.0},
                "answer_batch": answer,
                "answer_single": {**answer, "questions": 1, "our_share": 9.0},
                "mining": {"questions": 256, "seconds": 9.0, "hours_for_18000": 0.2, "beyond_weights_gb": 1.0},
                "topology": {"pairs": 20, "nodes": 1180, "seconds_a_network": 9.0, "beyond_weights_gb": 1.0},
            }
        },
    }


@pytest.mark.parametrize(
    ("figures", "met"),
    [((3.0, 0.1, 4.0), "yes yes yes"), ((3.1, 0.11, 4.1), "**no** **no** **no**"), ((9.0, 0.0, 2.0), "**no** yes yes")],
)
def test_targets(figures: tuple[float, float, float], met: str) -> None:
    """Batched answers are judged: one question alone has little of the model's time to compare with."""
    lines = module("real_sizes_page").page(measured(*figures)).splitlines()
    judged = [line.split(" | ")[-1].removesuffix(" |") for line in lines if "≤" in line]
    assert " ".join(judged) == met


def test_mistakes_cost_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "out", "--pairs", "1")
    assert done.returncode == 2 and "at least 2 pairs" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()
