"""The search for learning rates: real trials on tiny data, none twice; the page and its best rates on made-up ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tuning, tuning_split
from benchmarks.tuning_page import Trial, best, page, score, scores
from rv_edit.composing import compose_parts
from rv_edit.errors import ConfigError


def results(*means: float | None, lost: int = 0) -> dict[str, Any]:
    after = {suite: {"mean": mean} for suite, mean in zip(("acc", "t_gen", "i_gen", "loc"), means, strict=True)}
    return {"after": after, "error_counts": {"edits_diverged": lost}, "seconds_per_edit": 0.5}


MADE = [
    Trial("ft", 0.01, "one", results(1.0, 0.8, 0.6, 0.4)),
    Trial("ft", 0.01, "two", results(0.0, 0.0, None, 0.6)),
    Trial("ft", 0.1, "one", results(1.0, 1.0, 1.0, 1.0, lost=2)),
    Trial("ft", 0.1, "two", None, "MEND: no loss is finite"),
    Trial("ft", 1.0, "one", results(0.1, 0.1, 0.1, 0.1)),
    Trial("ft", 1.0, "two", results(0.1, 0.1, 0.1, 0.1)),
    Trial("lora", 0.01, "one", results(0.2, 0.2, 0.2, 0.2)),
    Trial("lora", 0.01, "two", results(0.2, 0.2, 0.2, 0.2)),
    *(Trial("lora", rate, data) for rate in (0.1, 1.0) for data in ("one", "two")),
]


def test_a_score_is_the_mean_of_what_was_asked_on_all_data_sets() -> None:
    assert score(MADE[:2]) == pytest.approx((1.0 + 0.8 + 0.6 + 0.4 + 0.0 + 0.0 + 0.6) / 7)
    assert score(MADE[2:4]) is None and score([]) is None
    found = scores(MADE)
    assert set(found["ft"]) == {0.01, 1.0} and best(found["ft"]) == 0.01  # .1 lacks a data set, so it cannot win
    assert best({1.0: 0.5, 0.1: 0.5, 0.01: 0.4}) == 0.1


def test_the_page_names_the_best_rates_and_what_is_missing() -> None:
    lines = page(MADE, 20, 40, "small", "python benchmarks/tuning.py").splitlines()
    assert "| `ft` | 0.01 | 0.486 | 2 of 3 |" in lines and "| `lora` | 0.01 | 0.200 | 1 of 3 |" in lines
    assert "| 0.1 | – | 1.00 | 1.00 | 1.00 | 1.00 | – | – | – | – | 2 | 0.50 |" in lines
    assert "| 0.01 | **0.486** | 1.00 | 0.80 | 0.60 | 0.40 | 0.00 | 0.00 | – | 0.60 | 0 | 0.50 |" in lines
    assert "- `ft` 0.1, `two`: MEND: no loss is finite" in lines
    assert any("7 of 12 trials are there" in line for line in lines)
    whole = [Trial("ft", rate, "one", results(rate, rate, rate, rate)) for rate in (0.1, 0.2, 0.3)]
    assert "| `ft` | 0.3, at the edge of the grid | 0.300 | 3 of 3 |" in page(whole, 1, 1, "small", "x")


def test_every_editor_that_trains_gets_the_same_trials_middle_rates_first() -> None:
    editors = tuning.tunable()
    assert {"ft", "lora", "grace", "balancedit", "mend"} <= {name.removesuffix("_cot") for name in editors}
    assert not {"ike", "reasonedit", "unedited"} & set(editors)
    search = tuning.Search(["grace", "ft"], "pocket_llava", ["pocket_fvqa"], (0.01, 1e-4, 0.1), 4, 6)
    cells = search.cells()
    assert [(editor, rate) for editor, rate, _ in cells.values()] == [
        (editor, rate) for rate in (0.01, 1e-4, 0.1) for editor in ("grace", "ft")
    ]
    assert len({cell.key for cell in cells}) == len(cells) == 6


def test_trials_ask_nothing_that_mend_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    training = compose_parts(["editor=mend"], ("editor",))["editor"]["training"]
    assert training["questions"] == tuning_split.SEEN
    asked: list[tuple[Any, ...]] = []

    class Bundle:
        def __init__(self, name: str, root: str | None, split: str, questions: int) -> None:
            asked.append((name, split, questions))
            self.records, self.name = [str(index) for index in range(questions)], f"{name}_{split}"

    monkeypatch.setattr(tuning_split, "load_pocket", Bundle)
    monkeypatch.setattr(
        tuning_split, "replace", lambda bundle, records, name: (records, name)
    )  # a stand-in has no fields to replace
    records, name = tuning_split.load("fvqa", None, "test", 2000)  # type: ignore[misc]
    assert records == [str(index) for index in range(1500, 2000)] and name == "fvqa_tune_unseen"
    assert asked == [("fvqa", "tune", 2000)]


def test_the_page_says_how_it_was_made_but_not_where() -> None:
    given = ["--edits", "20", "--out", "there", "--rates", "0.1", "--jobs=2", "seed=3", "cache=there", "--most", "4"]
    assert tuning.command_of(given) == "python benchmarks/tuning.py --edits 20 --rates 0.1 seed=3"


def test_trials_run_once_and_a_bad_one_costs_no_other(tiny_options: list[str], tmp_path: Path) -> None:
    options = [
        *(option for option in tiny_options if "text_encoder" not in option and "key_space" not in option),
        "trainer=cpu",
        "editor.training.steps=5",
        "editor.training.least_steps=2",
    ]

    def search(*rates: float) -> tuning.Search:
        return tuning.Search(["ft"], "pocket_llava", ["pocket_aokvqa"], rates, 3, 4, options)

    made = tuning.run(search(0.01, -1.0), tmp_path / "out", tmp_path / "page", most=1)
    assert [trial.rate for trial in made if trial.results is not None] == [0.01] and made[0].reason is None
    made = tuning.run(search(0.01, -1.0), tmp_path / "out", tmp_path / "page", command="python x")
    good, bad = made[1], made[0]
    assert bad.reason == "editor.training.lr=-1: give a number above 0" and bad.results is None
    assert good.results is not None and good.results["edits"] + good.diverged == 3
    assert good.results["config"]["dataset"]["source"]["split"] == "tune"
    stamp = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("results.json")}
    again = tuning.run(search(0.01), tmp_path / "out", tmp_path / "page")
    assert again[0].results == good.results and len(stamp) == 1
    assert {path: path.stat().st_mtime_ns for path in stamp} == stamp
    with (tmp_path / "page/tuning.csv").open(encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["acc"]) == good.results["after"]["acc"]["mean"] and row["edits"] == "3"
    assert "| `ft` | 0.01 |" in (tmp_path / "page/tuning.md").read_text(encoding="utf-8")


def test_an_option_that_does_not_exist_is_said_at_once(tmp_path: Path) -> None:
    search = tuning.Search(["ft"], "pocket_llava", ["pocket_aokvqa"], (0.1,), 3, 4, ["dataset.colour=3"])
    with pytest.raises(ConfigError, match="colour"):
        tuning.run(search, tmp_path, tmp_path)
