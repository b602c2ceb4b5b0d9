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


def test_hours_of_every_model_that_runs_here() -> None:
    """By hand: an edit with one fact and no caption, texts and judgements measured at some seconds each."""
    rows = [
        {"kind": "text", "suite": "t_gen", "item": "a", "tokens": [1, 1], "seconds": 4.0},
        {"kind": "text", "suite": "t_gen", "item": "b", "tokens": [1, 1], "seconds": 6.0},
        {"kind": "text", "suite": "t_gen", "item": "b", "unusable": "x"},
        {"kind": "text", "suite": "coe_gen", "item": "a", "tokens": [1, 1], "seconds": 2.0},
        {"kind": "image", "model": "sd3", "item": "a", "seconds": 3.0},
        {"kind": "image", "model": "sd3", "item": "a", "seconds": 3.0, "unusable": "x"},
        {"kind": "image", "model": "flux", "item": "a", "seconds": 10.0},
        {"kind": "check", "item": "a", "p_yes": 0.1, "seconds": 0.5},
        {"kind": "check", "item": "b", "p_yes": 0.2, "seconds": 1.5},
        {"kind": "check", "item": "c", "p_yes": 0.2},  # of a build from before seconds were noted
        {"kind": "caption", "image": "x", "text": "A cat.", "seconds": 7.0},
    ]
    one = plan(facts=("The cat is red.",), chain=(0,), caption="")
    settings = shipped(suites=["t_gen", "i_gen", "coe_gen"])
    found = estimate(
        [one], settings, MODELS, measure(rows), checked=True, described=True, written_here=True, edits=3600
    )
    assert (found.pictures, found.checks, found.captions) == ({"sd3": 5 * 3600, "flux": 2 * 3600}, 7 * 3600, 3600)
    assert found.statements == 3600
    assert found.others == pytest.approx({"texts": 1.5 * 5.0 + 1.0 * 2.0, "checks": 5 * 2 + 2, "captions": 7.0})
    assert found.hours == pytest.approx({"sd3": 5 * 2 * 3.0, "flux": 2 * 10.0})
    lines = found.lines(regenerations=3, attempts=3)
    assert "texts of the model on this machine: about 9.50 GPU hours" in lines
    assert "captions by the checker: 3,600; about 7.00 GPU hours" in lines
    assert lines[-1] == "GPU hours together: about 78.50; what the edited model takes is not counted"

    unknown = estimate([one], settings, MODELS, Measured(), checked=True, described=True, written_here=True)
    assert unknown.others == {"texts": None, "checks": None, "captions": None}
    assert not any("together" in line for line in unknown.lines(regenerations=3, attempts=3))
    bare = estimate([one], settings, MODELS, measure(rows), checked=False)
    assert bare.others == {} and bare.captions == 0
    assert bare.lines(3, 3)[-1] == "GPU hours together: about 0.01; what the edited model takes is not counted"
