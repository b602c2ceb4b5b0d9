"""What a dry run says, against counts written out and against what a build really asked for."""

from __future__ import annotations

import pytest

from rv_edit.benchmark.building.estimate import Measured, estimate, measure
from tests.benchmark.building.subjects import plan, shipped

MODELS = {"sd3": 2.0, "flux": None}


def test_the_paper_s_counts_for_edits_with_three_facts() -> None:
    plans = [plan(f"q{n}", chain=(0, 1, 2)) for n in range(10)]
    found = estimate(plans, shipped(), MODELS, Measured(), checked=True, edits=7197)
    assert found.edits == 7197
    assert found.calls == {"t_gen": 7197, "r_gen": 7 * 7197, "i_gen": 0, "coe_gen": 7197}
    assert sum(found.pictures.values()) == pytest.approx(14 * 7197, abs=1) and found.checks == 14 * 7197
    assert found.hours["flux"] is None and found.hours["sd3"] == pytest.approx(
        found.pictures["sd3"] * 2 / 3600, rel=0.01
    )
    assert found.tokens_out is None
    lines = found.lines(regenerations=3, attempts=3)
    assert lines[1] == "text calls: 64,773 (t_gen 7,197, r_gen 50,379, coe_gen 7,197), at most 3 times as many"
    assert any("GPU hours not known" in line and "task.images.flux.seconds_per_image" in line for line in lines)


def test_tokens_are_counted_from_the_prompts_until_some_were_paid_for() -> None:
    from rv_edit.benchmark.building.plan import text_jobs

    plans, settings = [plan(chain=(1,))], shipped(suites=["t_gen", "coe_gen"])
    characters = sum(len(job.prompt) for job in text_jobs(plans[0], settings))
    found = estimate(plans, settings, MODELS, Measured(), checked=False)
    assert found.tokens_in == round(characters / 4) and found.checks == 0
    measured = Measured({"t_gen": (100.0, 200.0), "coe_gen": (10.0, 20.0)}, {"t_gen": 1.5})
    known = estimate(plans, settings, MODELS, measured, checked=False, edits=4)
    assert (known.tokens_in, known.tokens_out) == (4 * (150 + 10), 4 * (300 + 20))


def test_what_was_measured() -> None:
    rows = [
        {"kind": "text", "suite": "t_gen", "item": "a", "tokens": [10, 20]},
        {"kind": "text", "suite": "t_gen", "item": "a", "unusable": "x"},
        {"kind": "text", "suite": "t_gen", "item": "b", "tokens": [30, 60]},
        {"kind": "text", "suite": "r_gen", "item": "c", "tokens": [None, None]},
        {"kind": "image", "model": "sd3", "item": "a", "seconds": 1.0},
        {"kind": "image", "model": "sd3", "item": "a", "seconds": 2.0, "unusable": "x"},
        {"kind": "image", "model": "sd3", "item": "b", "seconds": 6.0},
        {"kind": "check", "item": "a", "p_yes": 0.1},
    ]
    found = measure(rows)
    assert found.tokens == {"t_gen": (20.0, 40.0)} and found.calls == {"t_gen": 1.5, "r_gen": 1.0}
    assert found.seconds == {"sd3": 3.0} and found.pictures == {"sd3": 1.5}
    plans = [plan(chain=())]
    hours = estimate(plans, shipped(suites=["i_gen"]), MODELS, found, checked=True).hours
    assert hours["sd3"] == pytest.approx(2 * 1.5 * 3.0 / 3600)
    assert measure([]) == Measured()
