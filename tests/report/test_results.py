"""``results.json`` and ``answers.jsonl``: names that stay, figures, sameness."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_modules.records import SUITES
from rv_edit.report import RunResult, write_run
from tests.report.synthetic import make_run


def written(folder: Path, result: RunResult) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    paths = write_run(folder, result)
    rows = paths["answers"].read_text(encoding="utf-8").splitlines()
    return json.loads(paths["results"].read_text(encoding="utf-8")), [json.loads(row) for row in rows]


def test_names_that_stay(run: RunResult, tmp_path: Path) -> None:
    results, _ = written(tmp_path, run)
    assert results["edits"] == 12
    assert isinstance(results["seconds_per_edit"], float)
    assert results["kb_per_edit"] == 4.0
    for when in ("before", "after"):
        assert list(results[when]) == list(SUITES)
        for figure in results[when].values():
            assert set(figure) == {"mean", "ci95", "n"}
            low, high = figure["ci95"]
            assert low <= figure["mean"] <= high
    assert {"config", "versions", "seed", "git_hash", "accept_rate", "skipped", "error_counts", "timings"} <= set(
        results
    )
    assert results["config"]["editor"]["radius"] is None, "infinity is not JSON"


def test_means_are_those_of_the_answers(run: RunResult, tmp_path: Path) -> None:
    results, rows = written(tmp_path, run)
    for suite in SUITES:
        mine = [row for row in rows if row["suite"] == suite]
        right = np.array(
            [row["choices"][int(np.argmax(row["scores"]))] == row["choices"][row["target"]] for row in mine]
        )
        first = np.array([int(np.argmax(row["scores_before"])) == row["target"] for row in mine])
        accepted = np.array([row["accepted"] for row in mine if row["accepted"] is not None])
        assert results["after"][suite]["mean"] == pytest.approx(right.mean())
        assert results["before"][suite]["mean"] == pytest.approx(first.mean())
        assert results["after"][suite]["n"] == len(mine)
        assert results["accept_rate"][suite] == pytest.approx(accepted.mean())
        assert [row["correct"] for row in mine] == right.tolist()


def test_every_question_is_there_once_with_what_was_used(run: RunResult, tmp_path: Path) -> None:
    _, rows = written(tmp_path, run)
    assert len(rows) == len(run.after)
    by_key = {(row["suite"], row["id"]): row for row in rows}
    assert len(by_key) == len(rows)
    for question, answer in run.after:
        row = by_key[question.suite, question.id]
        assert row["facts"] == list(answer.facts)
        assert row["distances"] == list(answer.distances)
        assert row["fact_distances"] == list(answer.fact_distances) and len(row["fact_distances"]) == len(row["facts"])
        assert row["prediction"] == answer.prediction
        assert row["edit_id"] == question.edit_id


def test_order_of_asking_changes_nothing(run: RunResult, tmp_path: Path) -> None:
    """As when several processes share the questions out."""
    before, after = list(run.before), list(run.after)
    random.Random(1).shuffle(before)
    random.Random(2).shuffle(after)
    one = write_run(tmp_path / "one", run)
    other = write_run(tmp_path / "other", replace(run, before=before, after=after))
    assert {name: path.read_bytes() for name, path in one.items()} == {
        name: path.read_bytes() for name, path in other.items()
    }


def test_the_same_run_elsewhere_and_slower_differs_in_timings_alone(tmp_path: Path) -> None:
    documents = []
    for name, seconds in (("monday", 1.0), ("tuesday", 9.0)):
        result = make_run(4)
        folder = tmp_path / name
        config = {**result.config, "output": str(folder), "logger": {"save_dir": f"{folder}/board"}}
        receipts = [replace(receipt, seconds=seconds) for receipt in result.receipts]
        slower = replace(result, config=config, receipts=receipts, timings={"editing": seconds})
        documents.append(written(folder, slower)[0])
    one, other = documents
    assert one["timings"] != other["timings"]
    for document in documents:
        del document["timings"], document["seconds_per_edit"]
    assert one == other
    assert one["config"]["output"] == "<output>"
    assert one["config"]["logger"]["save_dir"] == "<output>/board"


def test_a_suite_that_was_not_asked_is_missing_not_zero(run: RunResult, tmp_path: Path) -> None:
    asked = replace(run, after=[pair for pair in run.after if pair[0].suite != "contrast"])
    results, _ = written(tmp_path, asked)
    assert results["after"]["contrast"] == {"mean": None, "ci95": [None, None], "n": 0}
    assert results["accept_rate"]["contrast"] is None


def test_the_same_loc_question_after_several_edits(run: RunResult, tmp_path: Path) -> None:
    """``protocol=single`` may ask it after each; the unedited answer is found all the same."""
    (question, answer) = next(pair for pair in run.after if pair[0].suite == "loc")
    twice = [(replace(question, edit_id=edit.id), answer) for edit in run.edits[:2]]
    results, rows = written(tmp_path, replace(run, after=twice))
    assert results["after"]["loc"]["n"] == 2
    assert all(row["scores_before"] is not None for row in rows)


def test_no_edits_at_all(run: RunResult, tmp_path: Path) -> None:
    results, _ = written(tmp_path, replace(run, edits=(), receipts=(), codebook={}))
    assert results["edits"] == 0
    assert results["seconds_per_edit"] is None
    assert results["kb_per_edit"] is None


def test_report_on_the_first_of_several_ranks_waits_for_nobody(run: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    def exchange(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the other ranks do not take part")

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.is_available", lambda: True)
    monkeypatch.setattr("torchmetrics.metric.Metric._sync_dist", exchange)
    monkeypatch.setattr("torchmetrics.metric.jit_distributed_available", lambda: True)
    assert replace(run, seed=1).metrics["after"]["acc"]["mean"] == pytest.approx(0.75)


def test_duplicate_choices_count_as_one(run: RunResult) -> None:
    question, answer = run.after[0]
    doubled = replace(question, choices=("same", "same", "other", "third"), target=0)
    result = replace(run, before=(), after=[(doubled, replace(answer, prediction=1))])
    assert result.rows[0].right
