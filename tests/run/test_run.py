"""``task=edit`` from options to output folder."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from data_modules.records import SUITES, Answer, Question
from rv_edit.cli import one_line
from rv_edit.codebook import Codebook
from rv_edit.editors.unedited import Unedited
from rv_edit.run import run

Composed = Callable[..., DictConfig]


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def answers(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def finished(command: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run through the command line."""
    folder = tmp_path_factory.mktemp("finished")
    done = command(f"hydra.run.dir={folder}", "logger=wandb", env={"HOME": str(folder), "RV_EDIT_CACHE": str(folder)})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("W&B: no API key, logging offline") == 1
    assert "wandb: " not in done.stderr + done.stdout, "the client speaks besides"
    assert "Traceback" not in done.stderr and str(folder / "results.json") in done.stdout.replace("\n", "")
    return folder


def test_a_run_leaves_results_answers_codebook_and_gallery(finished: Path) -> None:
    found = results(finished)
    assert found["edits"] == 6 and found["seconds_per_edit"] > 0 and found["kb_per_edit"] > 0
    for when in ("before", "after"):
        assert set(found[when]) >= set(SUITES)
        assert all(set(found[when][suite]) == {"mean", "ci95", "n"} for suite in SUITES)
    assert found["before"]["acc"]["mean"] == 0.0 and found["before"]["loc"]["mean"] == 1.0
    assert found["after"]["t_gen"]["n"] == 12 and found["after"]["loc"]["n"] == 6
    rows = answers(finished)
    assert len(rows) == sum(found["after"][suite]["n"] for suite in SUITES)
    for suite in SUITES:
        own = [row["correct"] for row in rows if row["suite"] == suite]
        assert not own or sum(own) / len(own) == pytest.approx(found["after"][suite]["mean"])
    for row in rows:
        assert len(row["fact_distances"]) == len(row["facts"]) and set(row["fact_distances"]) <= set(row["distances"])
    assert any(row["fact_distances"] for row in rows)
    book = Codebook.load(finished / "codebook")
    assert len(book.edit_ids) == 6 and book.checksum() == found["codebook"]["checksum"]
    assert (finished / "gallery.html").stat().st_size > 1000
    assert list(finished.glob("**/offline-run-*"))


def test_the_same_command_gives_the_same_results(finished: Path, composed: Composed, tmp_path: Path) -> None:
    run(composed())
    for key in ("before", "after", "codebook", "edits", "kb_per_edit", "accept_rate", "error_counts"):
        assert results(tmp_path / "out")[key] == results(finished)[key], key
    assert answers(tmp_path / "out") == answers(finished)
    for name in ("codebook.safetensors", "codebook.jsonl"):
        assert (tmp_path / "out/codebook" / name).read_bytes() == (finished / "codebook" / name).read_bytes()


@pytest.mark.DDP
def test_two_ranks_are_one_process(finished: Path, command: Callable[..., Any], tmp_path: Path) -> None:
    done = command(f"hydra.run.dir={tmp_path}", "trainer.devices=2")
    assert done.returncode == 0, done.stderr
    for name in ("codebook.safetensors", "codebook.jsonl"):
        assert (tmp_path / "codebook" / name).read_bytes() == (finished / "codebook" / name).read_bytes()
    one, two = answers(finished), answers(tmp_path)
    assert [(row["suite"], row["id"]) for row in one] == [(row["suite"], row["id"]) for row in two]
    assert [(row["prediction"], row["facts"]) for row in one] == [(row["prediction"], row["facts"]) for row in two]
    for key in ("before", "after", "codebook", "edits"):
        assert results(tmp_path)[key] == results(finished)[key], key


def test_a_saved_codebook_is_gone_on_with_and_evaluated(finished: Path, composed: Composed, tmp_path: Path) -> None:
    run(composed("dataset.edits=3", out="first"))
    run(composed("dataset.edits=3", f"codebook={tmp_path / 'first/codebook'}", out="second"))
    assert Codebook.load(tmp_path / "second/codebook").checksum() == results(finished)["codebook"]["checksum"]
    assert results(tmp_path / "second")["edits"] == 6
    run(composed("dataset.edits=0", f"codebook={finished / 'codebook'}", out="again"))
    assert results(tmp_path / "again")["after"] == results(finished)["after"]
    assert results(tmp_path / "again")["kb_per_edit"] == results(finished)["kb_per_edit"]


def test_a_codebook_is_gone_on_with_on_other_data(finished: Path, composed: Composed, tmp_path: Path) -> None:
    run(composed("dataset.edits=2", "+dataset.source.first=50", f"codebook={finished / 'codebook'}"))
    found, keys = results(tmp_path / "out"), len(Codebook.load(tmp_path / "out/codebook"))
    assert found["edits"] == 8 and found["keys_per_edit"] == pytest.approx(keys / 8)
    assert found["after"]["acc"]["n"] == 2


def test_single_edits_each_by_itself(composed: Composed, tmp_path: Path) -> None:
    run(composed("protocol=single"))
    found = results(tmp_path / "out")
    assert found["edits"] == 6 and found["after"]["loc"]["n"] == 6 and found["after"]["t_gen"]["n"] == 12
    assert not (tmp_path / "out/codebook").exists()
    rows = answers(tmp_path / "out")
    for row in rows:
        # one edit alone is in force: a sentence about any other lamp would be another edit's
        own = row["edit_id"][1:] if row["edit_id"] else None
        assert all(own is None or f"amp {own}" in fact for fact in row["facts"]), row


def test_the_unedited_model_is_the_reference_and_is_asked_once(
    composed: Composed, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = Unedited.answer

    def counted(self: Unedited, questions: Sequence[Question]) -> list[Answer]:
        calls.extend((question.suite, question.id) for question in questions)
        return real(self, questions)

    monkeypatch.setattr(Unedited, "answer", counted)
    run(composed("editor=unedited"))
    assert len(calls) == len(set(calls)) > 0
    found = results(tmp_path / "out")
    assert found["edits"] == 0 and found["after"] == found["before"] == results(finished)["before"]
    assert len(answers(tmp_path / "out")) == len(calls)


def test_without_a_provider_acc_and_loc_are_asked(composed: Composed, tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level("INFO"):
        run(composed("+dataset.source.suites=false"))
    assert "acc and loc are asked" in caplog.text
    assert re.search(r"asking \d+ questions to find the errors; .*/cache/scores", caplog.text)
    found = results(tmp_path / "out")
    assert found["after"]["acc"]["n"] == 6 and found["after"]["t_gen"]["n"] == 0


def test_bad_records_are_skipped_and_listed(composed: Composed, finished: Path, tmp_path: Path) -> None:
    run(composed("dataset.source._target_=tests.run.tiny_data.load_with_a_bad_picture"))
    found = results(tmp_path / "out")
    assert [skipped["record"] for skipped in found["skipped"]] == ["bad"]
    assert found["edits"] == 6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["trainer.accelerator=quantum"], "quantum"),
        (["model.vlm.name=/nowhere/llava"], "/nowhere/llava"),
        (["model.text_encoder=/nowhere/encoder"], "/nowhere/encoder"),
        (["editor.codebook.k=0"], "k=0"),
        (["editor.codebook.gate=some"], "gate"),
        (["+editor.surprise=1"], "surprise"),
        (["+editor.augment.surprise=1"], "surprise"),
        (["dataset=aokvqa", "dataset.source._target_=data_modules.sources.load_aokvqa"], "dataset.root"),
        (["editor.augment.tile_pool=/nowhere"], "/nowhere"),
        (["+scoring.colour=1"], "scoring.colour"),
        (["+dataset.source.surprise=1"], "surprise"),
        (["dataset.source._target_=rv_edit.pocket.dataset.load", "dataset.source.name=foo"], "foo"),
        (["dataset.source._target_=tests.run.nowhere"], "nowhere"),
        (["+model.vlm.surprise=1"], "surprise"),
        (["model.vlm.dtype=float7"], "float7"),
        (["model.vlm.dtype=7"], "7"),
        (["model.vlm.attn_implementation=some"], "some"),
        (["model.vlm.prompt_style={surprise: 1}"], "surprise"),
        (["model.key_space=/nowhere.json"], "/nowhere.json"),
        (["model.key_space={layer: 99, lam: 1}"], "99"),
        (["model.key_space={layer: x, lam: 1}"], "layer"),
        (["model.key_space={layer: 1, lam: x}"], "lam"),
        (["model.key_space={layer: 1, lam: 1, pairs: x}"], "pairs"),
        (["model.key_space={layer: 1, lam: 1, pairs: -1}"], "model.key_space.pairs=-1: give at least 1"),
        (["editor.codebook.k=some"], "k='some'"),
        (["editor.codebook.percentile=200"], "percentile"),
        (["editor.reasoning_keys=some"], "reasoning_keys"),
        (["editor.answer_template=some"], "answer_template"),
        (["editor.calibration_share=2"], "calibration_share"),
        (["editor.calibration_share=some"], "calibration_share"),
        (["editor.evidence.grid=0"], "grid"),
        (["editor.evidence.grid=some"], "grid"),
        (["editor.evidence.threshold=some"], "threshold"),
        (["editor.augment.variants=-1"], "variants"),
        (["editor.augment.variants=some"], "variants"),
        (["editor.augment.area=7"], "area"),
        (["editor.augment.area=some"], "area"),
        (["editor.augment.jitter=[1]"], "jitter"),
        (["logger=wandb", "logger.mode=some"], "logger.mode"),
        (["+logger.surprise=1"], "surprise"),
        (["logger=csv", "+logger.surprise=1"], "surprise"),
        (["+callbacks.progress.surprise=1"], "surprise"),
        (["+callbacks.replicas.surprise=1"], "surprise"),
        (["callbacks.checkpoint.every_n_edits=-1"], "every_n"),
        (["trainer.precision=7"], "7"),
        (["trainer.devices=0"], "devices"),
    ],
)
def test_bad_options_stop_in_one_line(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.setattr("rv_edit.tasks.edit.prepare", lambda *args: pytest.fail("work was begun"))
    with pytest.raises(Exception) as caught:  # whatever it is, the command line makes one line of it
        run(composed(*options))
    line = one_line(caught.value)
    assert line is not None and said in line and "\n" not in line
    assert not (tmp_path / "out/results.json").exists()


def test_a_codebook_of_another_key_space_is_refused(finished: Path, composed: Composed, tmp_path: Path) -> None:
    cfg = composed(f"codebook={finished / 'codebook'}", "model.key_space={layer: 0, lam: 2.0}")
    (tmp_path / "bare").mkdir()
    for name in ("codebook.safetensors", "codebook.jsonl"):
        (tmp_path / "bare" / name).write_bytes((finished / "codebook" / name).read_bytes())
    cfg.codebook = str(tmp_path / "bare")
    with pytest.raises(ValueError, match="layer") as caught:
        run(cfg)
    assert one_line(caught.value) is not None


def test_a_damaged_cache_or_model_is_noticed(composed: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    from rv_edit.tasks import edit

    whole = edit.prepare

    def swapped(*args: Any) -> Any:
        plan = whole(*args)
        loc = plan.questions["loc"][0]
        plan.questions["loc"][0] = type(loc)(**{**vars(loc), "target": (loc.target + 1) % 4})
        return plan

    monkeypatch.setattr(edit, "prepare", swapped)
    with pytest.raises(RuntimeError, match=r"Acc is not 0\.00 or Loc not 1\.00"):
        run(composed())


def test_an_interrupted_run_says_how_to_go_on(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from rv_edit.editors.reasonedit import ReasonEdit

    edit, calls = ReasonEdit.edit, []

    def interrupted(self: ReasonEdit, request: Any) -> Any:
        calls.append(request.id)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return edit(self, request)

    monkeypatch.setattr(ReasonEdit, "edit", interrupted)
    kept = signal.getsignal(signal.SIGINT)  # Lightning ignores it from then on
    try:
        with pytest.raises(KeyboardInterrupt):
            run(composed("callbacks.checkpoint.every_n_edits=2"))
    finally:
        signal.signal(signal.SIGINT, kept)
    assert f"hydra.run.dir={tmp_path / 'out'} resume=last goes on" in caplog.text
    assert (tmp_path / "out/checkpoints/last.ckpt").is_file() and not (tmp_path / "out/results.json").exists()


def test_interrupted_and_resumed_is_uninterrupted(
    finished: Path, composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rv_edit.editors.reasonedit import ReasonEdit

    edit, calls = ReasonEdit.edit, []

    def dies(self: ReasonEdit, request: Any) -> Any:
        calls.append(request.id)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        return edit(self, request)

    monkeypatch.setattr(ReasonEdit, "edit", dies)
    with pytest.raises(OSError, match="No space") as caught:
        run(composed("callbacks.checkpoint.every_n_edits=2"))
    assert one_line(caught.value) is not None and not (tmp_path / "out/results.json").exists()
    monkeypatch.setattr(ReasonEdit, "edit", edit)
    run(composed("callbacks.checkpoint.every_n_edits=2", "resume=last"))
    for name in ("codebook.safetensors", "codebook.jsonl"):
        assert (tmp_path / "out/codebook" / name).read_bytes() == (finished / "codebook" / name).read_bytes()
    assert results(tmp_path / "out")["after"] == results(finished)["after"]
    assert results(tmp_path / "out")["edits"] == 6


def test_a_sweep_over_several_processes_is_refused(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command("-m", "seed=0,1", "trainer.devices=2", "hydra.sweep.dir=/tmp/rv_edit_sweep_refused")
    assert done.returncode == 2 and "trainer.devices=2" in done.stderr and "Traceback" not in done.stderr
