"""``task=compare``: two folders side by side, and one line where they cannot be."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from rich.console import Console
from scipy.stats import binomtest

from rv_edit.cli import one_line
from rv_edit.composing import conf_dir
from rv_edit.report import write_run
from rv_edit.report.comparing import compare_runs, print_comparison
from rv_edit.report.reading import read_runs
from rv_edit.tasks.compare import run as compare_task
from tests.report.synthetic import make_run

Folders = tuple[Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """The same twelve edits; the other run answers its Acc questions otherwise."""
    result = make_run()
    after = []
    for place, (question, answer) in enumerate(result.after):
        if question.suite in ("acc", "t_gen") and place % 3 == 0:
            answer = replace(answer, prediction=(answer.prediction + 1) % len(question.choices))
        after.append((question, answer))
    other = replace(result, after=after, config={**result.config, "editor": {"name": "other"}})
    write_run(tmp_path / "one", result)
    write_run(tmp_path / "other", other)
    return tmp_path / "one", tmp_path / "other"


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]


def task(*overrides: str) -> list[dict[str, Any]]:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compare_task(compose("config", overrides=["task=compare", *overrides]))


def test_a_row_a_suite(folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = task(f"runs=[{folders[0]},{folders[1]}]", f"output={tmp_path / 'out'}")
    assert [row["suite"] for row in rows] == ["acc", "loc", "t_gen", "i_gen", "r_gen", "coe_gen", "contrast"]
    one, other = lines(folders[0]), lines(folders[1])
    for row in rows:
        mine = [item["correct"] for item in one if item["suite"] == row["suite"]]
        theirs = [item["correct"] for item in other if item["suite"] == row["suite"]]
        assert row["one"] == pytest.approx(np.mean(mine)) and row["other"] == pytest.approx(np.mean(theirs))
        assert row["questions"] == len(mine) and row["edits"] == (40 if row["suite"] == "loc" else 12)
        if row["suite"] in ("acc", "loc", "contrast"):
            better = sum(b and not a for a, b in zip(mine, theirs, strict=True))
            worse = sum(a and not b for a, b in zip(mine, theirs, strict=True))
            expected = binomtest(better, better + worse, 0.5).pvalue if better + worse else 1.0
            assert row["p"] == pytest.approx(expected) and (row["better"], row["worse"]) == (better, worse)
        if row["suite"] in ("i_gen", "r_gen", "coe_gen", "contrast", "loc"):
            assert row["p"] == row["p_holm"] == 1.0 and row["difference"] == 0.0
    assert rows[0]["p"] < 1 and rows[0]["p_holm"] >= rows[0]["p"]
    saved = json.loads((tmp_path / "out/compare.json").read_text())
    assert saved["suites"] == rows and "McNemar" in saved["test"]
    with (tmp_path / "out/compare.csv").open() as stream:
        assert [row["suite"] for row in csv.DictReader(stream)] == [row["suite"] for row in rows]
    said = capsys.readouterr().out
    assert "CoE-Gen" in said and "McNemar" in said and "other" in said and "reasonedit" in said


def test_the_other_way_round_is_the_same_with_another_sign(folders: Folders) -> None:
    there = compare_runs(*read_runs([str(folders[0]), str(folders[1])], 2, 2))
    back = compare_runs(*read_runs([str(folders[1]), str(folders[0])], 2, 2))
    for one, other in zip(there, back, strict=True):
        assert one["p"] == pytest.approx(other["p"]) and one["difference"] == pytest.approx(-other["difference"])
        assert (one["better"], one["worse"]) == (other["worse"], other["better"])


def test_the_table_is_80_columns_wide(folders: Folders) -> None:
    runs = read_runs([str(folders[0]), str(folders[1])], 2, 2)
    with (console := Console(width=200, highlight=False)).capture() as captured:
        print_comparison(compare_runs(*runs), "a", "b", console)
    table = [line.rstrip() for line in captured.get().splitlines() if not line.startswith("p:")]
    assert len(table) > 9 and max(map(len, table)) <= 80


def without_answers(one: Path) -> None:
    (one / "answers.jsonl").unlink()


def without_results(one: Path) -> None:
    (one / "results.json").unlink()


def damaged_results(one: Path) -> None:
    (one / "results.json").write_text((one / "results.json").read_text()[:200])


def damaged_answers(one: Path) -> None:
    text = (one / "answers.jsonl").read_text()
    (one / "answers.jsonl").write_text(text[: len(text) // 2])


def no_answers(one: Path) -> None:
    (one / "answers.jsonl").write_text("")


def other_edits(one: Path) -> None:
    shutil.rmtree(one)
    write_run(one, make_run(edits=9))


def other_picture(one: Path) -> None:
    rows = lines(one)
    rows[3]["image"] = "another"
    (one / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def twice(one: Path) -> None:
    text = (one / "answers.jsonl").read_text()
    (one / "answers.jsonl").write_text(text + text.splitlines()[0] + "\n")


def gone(one: Path) -> None:
    shutil.rmtree(one)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_answers, "answers.jsonl: no such file"),
        (without_results, "results.json: no such file"),
        (damaged_results, "results.json: damaged"),
        (damaged_answers, "not an answer of a run"),
        (no_answers, "no answers in it"),
        (other_edits, "were not asked in"),
        (other_picture, "has another image in"),
        (twice, "occurs twice"),
        (gone, "no such file; give the output folder"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_folders_and_other_edits_are_one_line(
    folders: Folders, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(folders[1])
    with pytest.raises(ValueError, match=said) as caught:
        task(f"runs=[{folders[0]},{folders[1]}]", f"output={tmp_path / 'out'}")
    line = one_line(caught.value)
    assert line is not None and "\n" not in line and "other" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("runs", ["null", "[a]", "[a,b,c]", "[a,a]", "a"])
def test_two_different_folders_are_needed(runs: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="runs names") as caught:
        task(f"runs={runs}", f"output={tmp_path / 'out'}")
    assert "runs=[one,other]" in str(caught.value) or "twice" in str(caught.value)
