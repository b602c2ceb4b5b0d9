"""Bad options: one line, exit status 2, before any work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from rv_edit.cli import conf_dir, one_line
from rv_edit.errors import ConfigError
from rv_edit.loggers import choose_mode
from rv_edit.tasks.checks import check_options
from tests.run.conftest import ROOT

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("dataset.edits=-1", "dataset.edits"),
        ("dataset.edits=many", "dataset.edits"),
        ("dataset.edits=0", "codebook="),
        ("protocol=both", "accumulate, single"),
        ("scoring.normalize=max", "scoring.normalize"),
        ("scoring.batch_size=0", "scoring.batch_size"),
        ("codebook=/nowhere", "codebook=/nowhere"),
        ("resume=last", "resume=last"),
        ("seed=-3", "seed"),
        ("dataset.sample=0", "dataset.sample"),
        ("dataset.sample=abc", "dataset.sample"),
        ("dataset.calibration=abc", "dataset.calibration"),
        ("dataset.mine_limit=-1", "dataset.mine_limit"),
        ("dataset.mine_limit=x", "dataset.mine_limit"),
        ("model.rounding=abc", "model.rounding"),
        ("model.rounding=-1", "model.rounding"),
        ("model.rounding=.nan", "model.rounding"),
        ("error_chain.threshold=1.5", "error_chain.threshold"),
        ("error_chain.threshold=often", "error_chain.threshold"),
        ("error_chain.statement=true?", "{statement}"),
        ("model=auto", "model.name has no value; give model.name="),
        ("model.key_space=measured", "run task=topology with the same model and cache first"),
    ],
)
def test_options_are_checked(composed: Callable[..., DictConfig], option: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        check_options(composed(option))
    assert "\n" not in str(caught.value)


def test_output_must_be_a_folder_that_can_be_written(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ConfigError, match=r"hydra\.run\.dir"):
        check_options(composed(out="file/out"))
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dataset.edits=-1"], "dataset.edits=-1"),
        (["editor=nothing"], "Available options in 'editor': "),
        (["model=nothing"], "Available options in 'model'"),
        (["model=auto"], "model.name has no value; give model.name="),
        (["dataset=nothing"], "Available options in 'dataset'"),
        (["dataset.edit=3"], "dataset.edit"),
        (["dataset.edits={"], "no viable alternative"),
        (["trainer.colour=3"], "colour"),
        (["hydra.run.dir=/proc/nothing/here"], "choose another folder with hydra.run.dir="),
        (["dataset.edit=3"], "no option 'dataset.edit'; is it dataset.edits?"),
        (["nosuch.thing=3"], "no option 'nosuch.thing'; --cfg job shows all"),
    ],
)
def test_mistakes_are_one_line(command: Command, tmp_path: Path, arguments: list[str], said: str) -> None:
    place = [] if arguments[0].startswith("hydra.run.dir") else [f"hydra.run.dir={tmp_path}"]
    done = command(*arguments, *place, tiny=False)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ") and said in done.stderr


def test_help_teaches_and_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "run.py"), "--help"], capture_output=True, text=True, cwd=ROOT
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported and not imported & {"torch", "transformers", "lightning", "wandb", "PIL", "numpy"}
    for word in (
        "reasonedit",
        "unedited",
        "balancedit",
        "ft_cot",
        "pocket_llava",
        "model=auto",
        "pocket_aokvqa",
        "python run.py",
        "codebook=",
        "protocol=",
    ):
        assert word in done.stdout


@pytest.mark.parametrize("argument", ["--help", "--hydra-help"])
def test_a_reader_that_goes_away_is_no_error(argument: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "run.py", argument], stdout=writes, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (128 + 13, "")


@pytest.mark.parametrize("how", [["run.py"], ["-m", "rv_edit"]], ids=["run.py", "module"])
def test_outside_the_environment_one_line_says_how_to_enter_it(how: list[str]) -> None:
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # -S: without the packages that are installed
    done = subprocess.run(
        [sys.executable, "-S", *how, "--help"], capture_output=True, text=True, cwd=ROOT, env=bare, check=False
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "hydra is not installed" in done.stderr and "make run" in done.stderr and "activate" in done.stderr


def test_configuration_is_shown_without_running(command: Command) -> None:
    done = command("--cfg", "job", "debug=smoke", tiny=False)
    assert done.returncode == 0 and "edits: 8" in done.stdout and "_target_: rv_edit.loggers.none" in done.stdout


OPTIONS = [path for path in sorted(conf_dir().glob("[!h]*/*.yaml")) if path.parent.name != "sweep"]
"""The files of every group; those of ``sweep`` are W&B's (tests/sweeps)."""


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_shipped_option_composes(composed: Callable[..., DictConfig], path: Path) -> None:
    group = path.parent.name
    more = [f"+{group}={path.stem}"] if group in ("debug", "experiment") else [f"{group}={path.stem}"]
    expected = path.stem if group == "task" or (group, path.stem) == ("experiment", "table1") else "edit"
    assert composed(*[item.lstrip("+") for item in more]).task.name == expected


def test_faults_of_the_program_are_not_hidden() -> None:
    assert one_line(RuntimeError("a bug")) is None and one_line(ValueError("a bug")) is None
    assert one_line(ConfigError("said\nso")) == "said so"


def test_wandb_goes_offline_without_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    mode, why = choose_mode("auto")
    assert mode == "offline" and "no API key" in why and "\n" not in why
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_mode("auto") == ("disabled", "")
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert choose_mode("auto") == ("offline", "")
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    monkeypatch.delenv("WANDB_MODE")
    assert choose_mode("auto") == ("online", "")
