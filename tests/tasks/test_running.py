"""Cells in processes of their own: what is finished stays, what fails says so, what is killed is gone on with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rv_edit.tasks.cells import Cell
from rv_edit.tasks.running import FAILED, Runner

RUN = """
import json, os, pathlib, sys, time
options = dict(option.partition("=")[::2] for option in sys.argv[1:])
out = pathlib.Path(options["hydra.run.dir"][1:-1].replace(chr(92), ""))
with open(os.environ["LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
how = options["editor"]
if how == "bad":
    sys.exit("error: the folder is wrong")
if how == "crash":
    raise RuntimeError("odd")
if how == "dies":
    os.kill(os.getpid(), 9)
if how == "slow":
    (out / "checkpoints").mkdir(exist_ok=True)
    (out / "checkpoints/last.ckpt").write_text("half")
    (out / "begun").touch()
    while not (out / "go").exists():
        time.sleep(0.02)
if how == "stuck" and "resume" in options:
    raise ValueError("the checkpoint is damaged")
(out / "results.json").write_text(json.dumps({"editor": how, "resume": options.get("resume")}))
"""


def cell(editor: str, key: str = "key") -> Cell:
    return Cell(editor, "m", "d", 3, ("seed=1",), key)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Runner]:
    (tmp_path / "run.py").write_text(RUN)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return lambda **more: Runner(tmp_path / "odd 'root'", command=[sys.executable, str(tmp_path / "run.py")], **more)


def calls(tmp_path: Path) -> list[str]:
    place = tmp_path / "log"
    return place.read_text().splitlines() if place.is_file() else []


def until(seen: Callable[[], bool]) -> None:
    for _ in range(3000):
        if seen():
            return
        time.sleep(0.02)
    raise AssertionError("it does not happen")


def test_a_finished_cell_is_not_run_again(make: Callable[..., Runner], tmp_path: Path) -> None:
    for _ in range(2):
        outcome = make()(cell("fine"))
        assert outcome is not None and outcome.results == {"editor": "fine", "resume": None}
    (one,) = calls(tmp_path)
    assert one.startswith("task=edit editor=fine model=m dataset=d dataset.edits=3 seed=1 hydra.run.dir='")
    assert make()(cell("fine", "other")) is not None and len(calls(tmp_path)) == 2


def test_failures_are_one_line_and_tried_again(make: Callable[..., Runner], tmp_path: Path) -> None:
    expected = {"bad": "the folder is wrong", "crash": "RuntimeError: odd", "dies": "ended by signal 9"}
    for name, reason in expected.items():
        outcome = make()(cell(name))
        assert outcome is not None and outcome.results is None and outcome.reason == reason
        assert make().known(cell(name)).reason == reason
        make()(cell(name))
    assert len(calls(tmp_path)) == 6


def test_what_was_interrupted_is_gone_on_with(make: Callable[..., Runner], tmp_path: Path) -> None:
    folder = cell("stuck").folder(make().root)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/last.ckpt").write_text("half")
    outcome = make()(cell("stuck"))  # the checkpoint is of no use: once more without it
    assert outcome is not None and outcome.results == {"editor": "stuck", "resume": None}
    assert ["resume=last" in call for call in calls(tmp_path)] == [True, False]
    assert not (folder / "checkpoints").exists()
    folder = cell("fine").folder(make().root)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/last.ckpt").write_text("half")
    (folder / FAILED).write_text(json.dumps({"reason": "earlier"}))
    outcome = make()(cell("fine"))
    assert outcome is not None and outcome.results == {"editor": "fine", "resume": "last"}
    assert not (folder / FAILED).exists()


def test_a_cell_that_hangs_is_given_up(make: Callable[..., Runner]) -> None:
    outcome = make(limit_s=2.0)(cell("slow"))
    assert outcome is not None and outcome.reason == "given up after 2 s"


def test_stopping_ends_what_runs_and_keeps_its_checkpoint(make: Callable[..., Runner], tmp_path: Path) -> None:
    runner, folder = make(), cell("slow").folder(make().root)
    thread = threading.Thread(target=runner, args=(cell("slow"),))
    thread.start()
    until((folder / "begun").exists)
    runner.stop()
    thread.join(30)
    assert not thread.is_alive() and (folder / "checkpoints/last.ckpt").exists()
    assert make().known(cell("slow")).reason is None, "stopped by us is not failed"
    (folder / "go").touch()
    outcome = make()(cell("slow"))
    assert outcome is not None and outcome.results == {"editor": "slow", "resume": "last"}


def test_a_command_that_was_killed_leaves_its_cell_to_be_waited_for(
    make: Callable[..., Runner], tmp_path: Path
) -> None:
    runner = make()
    folder = cell("slow").folder(runner.root)
    code = (
        "from pathlib import Path; from rv_edit.tasks.cells import Cell; from rv_edit.tasks.running import Runner; "
        f"runner = Runner(Path({str(runner.root)!r}), command={runner.command!r}); "
        "runner(Cell('slow', 'm', 'd', 3, ('seed=1',), 'key'))"
    )
    command = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    until((folder / "begun").exists)
    command.send_signal(signal.SIGKILL)
    command.wait()
    assert runner(cell("slow"), wait=False) is None, "the process that it started is still at it"
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(runner(cell("slow"))))
    waiting.start()
    (folder / "go").touch()
    waiting.join(60)
    (outcome,) = found
    assert outcome.results == {"editor": "slow", "resume": None}  # type: ignore[attr-defined]
    assert len(calls(tmp_path)) == 1, "it was not run twice"


def test_a_folder_that_cannot_be_written_is_a_reason(make: Callable[..., Runner], tmp_path: Path) -> None:
    make().root.write_text("a file in its place")
    outcome = make()(cell("fine"))
    assert outcome is not None and "Not a directory" in str(outcome.reason)
