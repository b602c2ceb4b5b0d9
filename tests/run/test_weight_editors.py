"""Editors that change weights through the whole of a run: files, going on with them, two ranks, a failing edit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from rv_edit.run import run
from tests.run.test_run import answers, results

Composed = Callable[..., DictConfig]

FT = ["editor=ft_cot", "editor.training.steps=40", "editor.training.least_steps=5"]
MEND = [
    "editor=mend",
    "editor.network.rank=16",
    "editor.training.epochs=2",
    "dataset.tuning._target_=tests.run.tiny_data.load",
    "~dataset.tuning.split",
    "+dataset.tuning.size=20",
    "dataset.rewording=null",
]


def test_a_run_goes_on_with_saved_weights(composed: Composed, tmp_path: Path) -> None:
    run(composed(*FT, out="whole"))
    found = results(tmp_path / "whole")
    assert found["edits"] == 6 and found["kb_per_edit"] > 0 and found["seconds_per_edit"] > 0
    assert found["after"]["acc"]["n"] == 6 and found["before"]["acc"]["mean"] == 0.0
    assert found["after"] != found["before"]
    run(composed(*FT, "dataset.edits=3", out="first"))
    run(composed(*FT, "dataset.edits=3", f"codebook={tmp_path / 'first/codebook'}", out="second"))
    assert results(tmp_path / "second")["codebook"]["checksum"] == found["codebook"]["checksum"]
    run(composed(*FT, "dataset.edits=0", f"codebook={tmp_path / 'whole/codebook'}", out="again"))
    assert results(tmp_path / "again")["after"] == found["after"]
    with pytest.raises(ValueError, match="training"):
        run(composed(*FT, "editor.training.lr=1.0", f"codebook={tmp_path / 'whole/codebook'}", out="other"))


def test_single_edits_by_an_editor_that_changes_weights(composed: Composed, tmp_path: Path) -> None:
    run(composed(*FT, "protocol=single"))
    found = results(tmp_path / "out")
    assert found["edits"] == 6 and found["after"]["loc"]["n"] == 6 and found["after"]["t_gen"]["n"] == 12


@pytest.mark.DDP
def test_two_ranks_are_one_process(composed: Composed, command: Callable[..., Any], tmp_path: Path) -> None:
    """The network that MEND edits with is trained once, by whoever comes first, and found in the cache."""
    run(composed(*MEND, f"cache={tmp_path / 'one'}"))
    done = command(*MEND, f"cache={tmp_path / 'two'}", f"hydra.run.dir={tmp_path / 'ranks'}", "trainer.devices=2")
    assert done.returncode == 0, done.stderr
    one, two = results(tmp_path / "out"), results(tmp_path / "ranks")
    for key in ("before", "after", "codebook", "edits"):
        assert one[key] == two[key], key
    assert [row["prediction"] for row in answers(tmp_path / "out")] == [
        row["prediction"] for row in answers(tmp_path / "ranks")
    ]
    files = [sorted((tmp_path / name / "mend").iterdir()) for name in ("one", "two")]
    assert len(files[0]) == len(files[1]) == 1 and files[0][0].read_bytes() == files[1][0].read_bytes()


def test_a_diverging_edit_is_reported_and_the_run_goes_on(composed: Composed, tmp_path: Path) -> None:
    run(composed("editor=ft", "editor.training.lr=1e30", "editor.training.steps=9", "editor.training.least_steps=1"))
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert len(found["skipped"]) == 6 and all("the weights are as before" in one["reason"] for one in found["skipped"])
    assert found["edits"] == 0 and found["error_counts"]["edits_diverged"] == 6
    assert found["after"] == found["before"] and found["after"]["acc"] == {
        "mean": 0.0, "ci95": found["before"]["acc"]["ci95"], "n": 6,
    }  # fmt: skip
    assert found["after"]["loc"]["mean"] == 1.0 and found["peak_memory_mb"] > 0
    assert "not made: edit r" in (tmp_path / "out/gallery.html").read_text()


def test_one_diverging_edit_of_several_counts_as_wrong(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not left out of the mean: six edits, of which the fourth fails, are six questions."""
    from rv_edit.editors.finetune import FineTune

    whole, calls = FineTune.update, []

    def failing(self: FineTune, trace: Any) -> str:
        calls.append(trace)
        note = whole(self, trace)
        if len(calls) == 4:
            next(iter(self.memory.tensors.values())).data[0, 0] = float("inf")
        return note

    monkeypatch.setattr(FineTune, "update", failing)
    for protocol in ("accumulate", "single"):
        calls.clear()
        run(composed(*FT, f"protocol={protocol}", out=protocol))
        found, rows = results(tmp_path / protocol), answers(tmp_path / protocol)
        (left,) = found["skipped"]
        assert "diverged, a weight is not a finite number" in left["reason"]
        assert found["edits"] == 5 and found["error_counts"]["edits_diverged"] == 1
        acc = {row["id"]: row["correct"] for row in rows if row["suite"] == "acc"}
        assert len(acc) == found["after"]["acc"]["n"] == 6 and found["after"]["loc"]["n"] == 6
        assert found["after"]["acc"]["mean"] == pytest.approx(sum(acc.values()) / 6)
        if protocol == "single":  # alone in force, an edit that was not made leaves the unedited answer: wrong
            assert not acc[left["record"]]
            own = [row for row in rows if row["edit_id"] == left["record"]]
            assert own and all(row["scores"] == row["scores_before"] for row in own)


def test_scores_that_are_no_numbers_are_wrong_answers() -> None:
    from data_modules.records import Answer, ImageRef, Question
    from rv_edit.editors.answering import is_right

    question = Question("q", ImageRef("0"), "What?", ("a", "b"), 0, "acc", "e")
    assert is_right(question, Answer("q", 0, (-1.0, -2.0)))
    assert not is_right(question, Answer("q", 0, (float("nan"), -2.0)))
