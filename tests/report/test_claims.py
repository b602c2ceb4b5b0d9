"""The claims of 4.3 on made-up figures whose answer is known, and on the paper's own."""

from __future__ import annotations

import numpy as np
import pytest

from rv_edit.report.comparison import CLAIMS, SUITES, Comparison, Entry, Words, paper_table
from rv_edit.report.comparison.claims import (
    OURS,
    PLAIN,
    REASONING,
    UNEDITED,
    claims_section,
    close_to_unedited,
    marginal,
    reasoning_gains,
)
from rv_edit.report.comparison.figures import Figure, above, difference, exactly, mean_of, together, within

Made = dict[str, dict[str, Figure]]
TEXTS = [claim.text for claim in CLAIMS]


def made(width: float = 0.02, turned: bool = False) -> Made:
    """As the paper claims, or with everything turned round (1 − figure)."""
    means = {UNEDITED: dict.fromkeys(SUITES, 0.3) | {"loc": 1.0}, OURS: dict.fromkeys(SUITES, 0.95) | {"loc": 0.99}}
    for name in PLAIN:
        means[name] = dict.fromkeys(SUITES, 0.6) | {"r_gen": 0.2, "coe_gen": 0.2}
        means[name]["loc"] = 0.99 if name in ("IKE", "GRACE") else 0.5
    for name in REASONING:
        means[name] = {**means[name.removesuffix("-COT")], "r_gen": 0.28, "coe_gen": 0.28}
    sign = (lambda value: 1 - value) if turned else (lambda value: value)
    half = width / 2
    return {
        name: {suite: Figure(sign(v), sign(v) - half, sign(v) + half) for suite, v in column.items()}
        for name, column in means.items()
    }


def verdicts(found: Made) -> dict[str, str]:
    return {claim.text: claim.put(found, Words())[0] for claim in CLAIMS}


def test_figures_like_the_claims_agree() -> None:
    assert {text: verdict for text, verdict in verdicts(made()).items() if verdict != "agrees"} == {}


def test_figures_turned_round_differ() -> None:
    kept = [text for text, verdict in verdicts(made(turned=True)).items() if verdict != "differs"]
    assert kept == [text for text in TEXTS if text.startswith("…")]  # what is similar stays so


def test_wide_intervals_and_missing_editors_cannot_be_told() -> None:
    assert set(verdicts(made(width=2.0)).values()) == {"cannot tell"}
    assert set(verdicts({}).values()) == {"cannot tell"}
    assert {claim.put({OURS: made()[OURS]}, Words())[1] for claim in CLAIMS} == {"not measured"}


def test_one_editor_above_ours_is_enough_to_differ() -> None:
    found = made()
    found["GRACE"]["i_gen"] = Figure(0.99, 0.98, 1.0)
    wrong = [text for text, verdict in verdicts(found).items() if verdict == "differs"]
    assert len(wrong) == 2 and all("I-Gen" in text for text in wrong)
    (first,) = [claim for claim in CLAIMS if claim.text == wrong[0]]
    said = first.put(found, Words())[1]
    assert "8 of 9 agree" in said and "1 of 9 differ" in said and "e.g. I-Gen, against GRACE: -0.04" in said


def test_what_marginal_and_close_mean() -> None:
    found = made(width=0.0)
    bound = 0.3 + 0.5 * (0.95 - 0.3)
    for value, verdict in ((bound - 0.01, "agrees"), (bound + 0.01, "differs")):
        found["IKE"]["coe_gen"] = exactly(value)
        assert marginal(found, Words())[0] == verdict
    for value, verdict in ((0.34, "agrees"), (0.36, "differs")):
        found["FT-COT"]["r_gen"] = exactly(value)
        assert close_to_unedited(found, Words())[0] == verdict
    assert close_to_unedited(found, Words(close=0.1))[0] == "agrees"
    found["FT-COT"]["r_gen"] = exactly(0.0)  # .2 lost by one against .08 gained by three: no gain on average, .01
    assert reasoning_gains(found, Words())[0] == "agrees"
    found["FT-COT"]["r_gen"], found["FT"]["r_gen"] = exactly(0.0), exactly(0.3)
    assert reasoning_gains(found, Words())[0] == "differs"


def test_a_difference_has_the_interval_of_two_normal_means() -> None:
    """Symmetric intervals: MOVER is then the textbook interval, here against drawn samples."""
    draws = np.random.default_rng(0).normal([0.8, 0.5], [0.04, 0.03], (200_000, 2))
    low, high = np.quantile(draws[:, 0] - draws[:, 1], [0.025, 0.975])
    one, other = (Figure(m, m - 1.96 * s, m + 1.96 * s) for m, s in ((0.8, 0.04), (0.5, 0.03)))
    found = difference(one, other)
    assert found.low == pytest.approx(low, abs=2e-3) and found.high == pytest.approx(high, abs=2e-3)
    assert mean_of([one]) == one
    both = mean_of([one, one])
    assert both.high - both.mean == pytest.approx((one.high - one.mean) / 2**0.5)


def test_bounds_and_verdicts_together() -> None:
    assert [above(Figure(0, low, high)) for low, high in ((0.1, 1), (-1, -0.1), (-1, 0))] == [
        "agrees",
        "differs",
        "cannot tell",
    ]
    assert [within(Figure(0, low, high), 0.5) for low, high in ((0, 0.5), (0.6, 1), (0, 1))] == [
        "agrees",
        "differs",
        "cannot tell",
    ]
    assert together(["agrees", "differs", "cannot tell"]) == "differs" and together([]) == "cannot tell"


def test_the_papers_own_table_bears_out_some_of_its_sentences() -> None:
    table = paper_table()["LLaVA-1.5-7B", "A-OKVQA"]
    found = {claim.text: claim.put(table, Words())[0] for claim in CLAIMS}
    first = [found[text] for text in TEXTS if text.startswith("ReasonEdit outperforms")]
    assert first == ["cannot tell", "agrees", "agrees", "agrees", "agrees"]  # Acc: .99, as GRACE-COT
    assert found["… but stay close to the unedited model in both"] == "differs"  # FT-COT: CoE-Gen .63 against .37
    fvqa = paper_table()["LLaVA-1.5-7B", "FVQA"]
    assert marginal(fvqa, Words())[0] == "differs"  # IKE: CoE-Gen .85, ReasonEdit .97, unedited .45


def test_a_page_has_a_column_a_model_and_data_set() -> None:
    figures = {
        name: {suite: {"mean": f.mean, "ci95": [f.low, f.high], "n": 9} for suite, f in column.items()}
        for name, column in made().items()
    }
    entries = [
        Entry(name, model, "drawn", 9, {"after": column, "before": {}, "error_counts": {}})
        for name, column in figures.items()
        for model in ("one", "two")
    ]
    both = Comparison(entries, list(figures), ["one", "two"], ["drawn"], {"one": "Qwen3-VL-4B"}, {"drawn": "FVQA"})
    lines = claims_section(both)
    assert "| claim | `one`, `drawn` | *paper's figures* | `two`, `drawn` |" in lines
    rows = [line for line in lines if line.startswith("| 2. ")]
    assert rows[0].count("**agrees**") == 2 and "| *agrees* |" in rows[0]
    assert sum(line.startswith("- ") for line in lines) == 2 * len(CLAIMS)
    assert claims_section(Comparison([], [], [], [])) == []
