"""``experiment=sequential`` from options to curve, interrupted and over several ranks too."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from data_modules.probing import Probing
from rv_edit.cli import one_line
from rv_edit.codebook import Codebook
from rv_edit.run import run
from tests.run.test_run import answers, results
from tests.run.tiny_data import record

Composed = Callable[..., DictConfig]
SMALL = ("experiment=sequential", "dataset.edits=6", "dataset.loc_random=3", "dataset.loc_similar=3")
ROUNDS = (*SMALL, "sequential.every=4", "sequential.edits=2")


def curve(folder: Path) -> list[dict[str, Any]]:
    """The rounds without what they took."""
    return [{**point, "seconds_per_edit": None} for point in results(folder)["curve"]]


@pytest.fixture(scope="module")
def finished(command: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequential")
    done = command(*ROUNDS, "logger=csv", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_paper_numbers_are_the_experiment(composed: Composed) -> None:
    cfg = composed("experiment=sequential")
    assert (cfg.sequential.every, cfg.sequential.edits, cfg.dataset.edits) == (200, 50, 6), (
        "the tiny edits alone differ"
    )


def test_a_run_leaves_its_curve(finished: Path) -> None:
    found = results(finished)
    assert [point["edits"] for point in found["curve"]] == [4, 6]
    assert all(point["asked_edits"] == 2 and point["seconds_per_edit"] > 0 for point in found["curve"])
    assert found["curve"][-1]["keys"] == found["codebook"]["keys"]
    with (finished / "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["edits"] for row in rows] == ["4", "6"]
    for row, point in zip(rows, found["curve"], strict=True):
        assert float(row["acc"]) == point["metrics"]["acc"]["mean"] and row["run"] == "reasonedit"
        assert int(row["loc_n"]) == point["metrics"]["loc"]["n"] == 6
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")
    with (finished / "csv/metrics.csv").open() as stream:
        logged = list(csv.DictReader(stream))
    assert [row["step"] for row in logged if row["sequential/acc"]] == ["4", "6"]
    assert len([row for row in logged if row["edit_seconds"]]) == 6, "a point for each edit"


def test_only_edits_that_a_round_draws_are_asked_about(finished: Path) -> None:
    """At the end, all of those; and the last round's figures are the end's, on the edits that it drew."""
    rows = answers(finished)
    acc = {row["edit_id"]: row for row in rows if row["suite"] == "acc"}
    assert 2 <= len(acc) <= 4 and {row["edit_id"] for row in rows if row["edit_id"]} == set(acc)
    stream = Codebook.load(finished / "codebook").edit_ids
    made = [record(int(name[1:])).as_edit() for name in stream]
    last = Probing(4, 2, 0).drawn(made, 6)
    for suite in ("acc", "t_gen", "i_gen"):
        marks = [row["correct"] for row in rows if row["suite"] == suite and row["edit_id"] in last]
        figure = results(finished)["curve"][-1]["metrics"][suite]
        assert figure["n"] == len(marks) and figure["mean"] == pytest.approx(sum(marks) / len(marks))


def test_interrupted_and_resumed_has_the_same_curve(
    finished: Path, composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rv_edit.editors.reasonedit import ReasonEdit

    edit, calls = ReasonEdit.edit, []

    def dies(self: ReasonEdit, request: Any) -> Any:
        calls.append(request.id)
        if len(calls) == 6:
            raise OSError(28, "No space left on device")
        return edit(self, request)

    every = "callbacks.checkpoint.every_n_edits=1"
    monkeypatch.setattr(ReasonEdit, "edit", dies)
    with pytest.raises(OSError, match="No space"):
        run(composed(*ROUNDS, every))
    monkeypatch.setattr(ReasonEdit, "edit", edit)
    run(composed(*ROUNDS, every, "resume=last"))
    assert curve(tmp_path / "out") == curve(finished)
    assert answers(tmp_path / "out") == answers(finished)


@pytest.mark.DDP
def test_two_ranks_are_one_process(finished: Path, command: Callable[..., Any], tmp_path: Path) -> None:
    done = command(*ROUNDS, f"hydra.run.dir={tmp_path}", "trainer.devices=2")
    assert done.returncode == 0, done.stderr
    assert curve(tmp_path) == curve(finished)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["sequential.every=0"], "sequential.every=0"),
        (["sequential.every=often"], "sequential.every=often"),
        (["sequential.edits=0"], "sequential.edits=0"),
        (["sequential.every=2", "protocol=single"], "protocol=accumulate"),
    ],
)
def test_bad_options_stop_in_one_line(composed: Composed, options: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        run(composed(*options))
    line = one_line(caught.value)
    assert line is not None and "\n" not in line
