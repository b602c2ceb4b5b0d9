"""The board: figures, edits and codebook, offline too; and never a reason for a run to fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from rv_edit.report import RunResult
from rv_edit.report.wandb_log import COLUMNS, log_run, summary


@pytest.fixture
def codebook(tmp_path: Path) -> Path:
    folder = tmp_path / "codebook"
    folder.mkdir()
    (folder / "codebook.jsonl").write_text("{}\n")
    return folder


def test_names_of_the_figures(run: RunResult) -> None:
    figures = summary(run)
    assert figures["test/acc"] == pytest.approx(0.75)
    assert figures["before/acc"] == 0.0
    assert figures["accept_rate/loc"] == pytest.approx(0.05)
    assert figures["kb_per_edit"] == 4.0


def test_offline(run: RunResult, tmp_path: Path, codebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = WandbLogger(offline=True, save_dir=str(tmp_path), settings=wandb.Settings(silent=True))
    try:
        assert log_run(logger, run, codebook, pictures=3)
        board = logger.experiment
        assert board.summary["test/acc"] == pytest.approx(0.75)
        table = next((tmp_path / "wandb").rglob("edits_*.table.json"))
        content = json.loads(table.read_text())
    finally:
        wandb.finish()
    assert content["columns"] == list(COLUMNS)
    assert len(content["data"]) == 12
    assert content["data"][0][2] == run.edits[0].question
    assert sum(row[1] is not None for row in content["data"]) == 3


def test_disabled(run: RunResult, tmp_path: Path, codebook: Path) -> None:
    import wandb

    logger = WandbLogger(save_dir=str(tmp_path))
    try:
        assert log_run(logger, run, codebook)
    finally:
        wandb.finish()


def test_other_loggers_and_other_ranks(run: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not log_run(None, run)
    assert not log_run([CSVLogger(str(tmp_path))], run)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert not log_run(WandbLogger(save_dir=str(tmp_path)), run)


def test_a_board_that_fails_costs_one_line(run: RunResult, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        @property
        def summary(self) -> Any:
            raise ConnectionError("server gone\nwith a long story")

    class Logger(WandbLogger):
        @property
        def experiment(self) -> Any:
            return Broken()

    assert not log_run(Logger(save_dir=str(tmp_path)), run)
    assert "server gone" in caplog.text
    assert "long story" not in caplog.text
