"""The benchmark of speed: its tables say what was measured, and its alternatives are what they are called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.speed_parts.common import Options, Part, Row, alternately, ratio
from benchmarks.speed_parts.editing import sampled_counts
from benchmarks.speed_parts.page import table, written
from benchmarks.speed_parts.plain import choice_scores, evidence
from rv_edit.codebook.pairs import PairDistances
from rv_edit.evidence import EvidenceSelector
from rv_edit.vlm import load_vlm
from tests.vlm.tiny_llava import build

ROOT = Path(__file__).parents[2]
QUIET = {"scale": 1, "load": 1.0, "threads": 1, "cores": 2, "rounds": 5, "clock": "process_time"}


def row(value: float, target: float | None, at_least: bool = True) -> Row:
    return Row("something", 1.0, 2.0, "another way", value, target, at_least, "same answers")


def test_a_row_is_judged_by_its_own_sense_of_better() -> None:
    assert [row(3.5, 3.5).met, row(3.4, 3.5).met, row(1.2, 1.1, False).met, row(1.0, 1.1, False).met] == [
        True, False, False, True,
    ]  # fmt: skip
    assert row(3.0, None).met is None
    text = "\n".join(table(Part([row(3.4, 3.5), row(1.0, 1.1, False), row(9.0, None)], ["A note."], QUIET)))
    assert "| 3.40 | ≥ 3.5 | **no** |" in text and "| 1.00 | ≤ 1.1 | yes |" in text and "| 9.00 | – | – |" in text
    assert "A note." in text and "Asserted: same answers." in text and "busy" not in text and "trial" not in text


@pytest.mark.parametrize(("change", "word"), [({"load": 3.0}, "busy machine (load 3)"), ({"scale": 0.1}, "A trial")])
def test_the_page_says_what_its_figures_are_worth(change: dict[str, float], word: str) -> None:
    text = "\n".join(table(Part([row(3.4, 3.5)], [], {**QUIET, **change})))
    assert word in text
    assert ("not judged" in text) == ("scale" in change)


def test_tables_are_replaced_and_words_between_them_stay() -> None:
    page = "# Title\n\n<!-- speed:a -->\nold | 1\n<!-- end -->\nWords.\n<!-- speed:b -->\n<!-- end -->\n"
    part = Part([row(2.0, 1.0)], [], QUIET)
    new = written(page, {"a": part})
    assert "old" not in new and "Words." in new and new.count("| something |") == 1
    assert written(new, {"a": part}) == new
    assert written(new, {"b": part}).count("| something |") == 2
    with pytest.raises(ValueError, match="no <!-- speed:c -->"):
        written(page, {"c": part})


def test_every_part_has_its_place_on_the_page() -> None:
    page = (ROOT / "docs/performance.md").read_text()
    names = [path.stem for path in (ROOT / "benchmarks/speed_parts").glob("*.py") if "def measure(" in path.read_text()]
    assert len(names) == 8
    for name in names:
        assert page.count(f"<!-- speed:{name} -->") == 1


def test_a_part_is_the_same_after_it_was_kept() -> None:
    part = Part([row(2.0, None)], ["A note."], QUIET)
    assert Part.read(json.loads(json.dumps(part.plain()))) == part


def test_two_ways_take_turns_and_the_warm_up_does_not_count() -> None:
    seen: list[tuple[str, int]] = []
    ticks = iter(range(100))
    ours, other, results = alternately(
        lambda turn: seen.append(("a", turn)) or turn,
        lambda turn: seen.append(("b", turn)) or -turn,
        2,
        lambda: next(ticks),
    )
    assert seen == [("a", -1), ("b", -1), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert len(ours) == len(other) == 2 and results == [(0, 0), (1, -1)]
    assert ratio([2.0, 30.0, 4.0], [1.0, 10.0, 2.0]) == 2.0


def test_the_plain_ways_find_what_ours_find(tmp_path: Path) -> None:
    vlm = load_vlm(str(build(tmp_path / "llava")))
    image = Image.effect_noise((40, 40), 90).convert("RGB")
    prompt, choices = vlm.format_prompt("What colour is the cat?"), ["red", "a small blue dog on the mat"]
    (ours,) = vlm.score(vlm.encode_images([image]), [prompt], [choices])
    assert choice_scores(vlm, image, prompt, choices) == pytest.approx(ours.logp, abs=1e-4)
    facts = ["The cat is red.", "A dog is used for two things!"]
    selector = EvidenceSelector(vlm, threshold=0.0)
    plain = evidence(vlm, image, facts, 0.0, (selector.show_prompt, selector.describe_prompt))
    assert plain == [list(fact.boxes) for fact in selector(image, facts).facts] and all(plain)


def test_sampled_counts_are_as_many_as_pairs_and_near_the_true_ones() -> None:
    keys = torch.randn(1500, 16, generator=torch.Generator().manual_seed(0)).half()
    counts = sampled_counts(keys, 300)
    assert counts.sum() == 1500 * 1499 // 2 and counts.min() >= 0
    true = PairDistances.of(keys, 4000).percentile(25)
    assert PairDistances.of(keys, 2, counts).percentile(25) == pytest.approx(true, rel=0.01)


def test_sizes_follow_the_scale() -> None:
    assert Options(scale=0.05).of(32, 2) == 2 and Options(scale=0.5).of(32) == 16 and Options().of(32) == 32


@pytest.mark.soak
@pytest.mark.parametrize("part", ["scoring", "evidence", "answers", "growth", "searching", "index", "suites"])
def test_every_part_runs_small(part: str, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text((ROOT / "docs/performance.md").read_text())
    command = [sys.executable, "benchmarks/speed.py", "--parts", part, "--scale", "0.02", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path), "--page", str(page)], cwd=ROOT, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / f"{part}.json").read_text())["rows"] and "A trial at scale" in page.read_text()
