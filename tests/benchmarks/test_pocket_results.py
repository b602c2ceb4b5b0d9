"""The page of the embedded world: what misses its target is bold in every row of ours."""

from __future__ import annotations

from typing import Any

from benchmarks.pocket_results import BALANCED, NAMES, SUITES, TARGETS, VARIANTS, Cell, options, section


def results(mean: float) -> dict[str, Any]:
    figures = {suite: {"mean": mean, "ci95": [mean, mean], "n": 3} for suite in SUITES}
    costs = {"keys_per_edit": 1.0, "kb_per_edit": 1.0, "seconds_per_edit": 1.0}
    return {"before": figures, "after": figures, "accept_rate": dict.fromkeys(SUITES, 1.0), **costs}


def test_every_variant_is_judged_by_the_same_targets() -> None:
    lines = section("pocket_llava", "pocket_aokvqa", {variant: results(0.91) for variant in VARIANTS})
    missed = sum(target > 0.91 for target in TARGETS.values())
    assert 0 < missed < len(SUITES)
    for variant in VARIANTS:
        row = next(line for line in lines if line.startswith(f"| {variant} |"))
        assert row.count("**0.91**") == missed, row
    assert "**" not in next(line for line in lines if line.startswith("| unedited |"))


def test_the_papers_lambda_is_read_from_the_models_curves() -> None:
    found = {model: options(Cell(model, "pocket_aokvqa", BALANCED)) for model in NAMES}
    assert all(len(given) == 1 and given[0].startswith("editor.lam=0.") for given in found.values()), found
    assert options(Cell("pocket_llava", "pocket_fvqa", "dual key")) == []
