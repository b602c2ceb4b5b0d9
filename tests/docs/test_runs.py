"""Every ``python run.py …`` of the pages runs, on a tiny model and data set, unless ``WHY_NOT`` says why it cannot."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from rv_edit.cli import conf_dir
from rv_edit.run import run
from tests.docs.commands import overrides as jobs_of
from tests.docs.commands import run_options
from tests.docs.shell import called
from tests.docs.test_commands import commands
from tests.editors.collected import SMALL
from tests.run.conftest import overrides
from tests.run.test_topology import SMALL as SMALL_TOPOLOGY
from tests.run.tiny_data import COLOURS, record

__all__ = ["overrides"]

WHY_NOT = {
    r"task/text=openai": "needs a language model's service; tests/run/test_build_suites.py has one to try on",
    r"task=build_suites": "needs the shipped model; tests/run and tests/data_modules build on tiny ones",
    r"task=validate_data dataset=(?!own)": "needs the data set; tests/data_modules reads files of its layout",
    r"trainer=ddp_sim": "starts a second process; tests/run/test_run.py does so",
    r"(experiment|task)=table1": "runs many cells, each a process; tests/run/test_table1.py has tiny ones",
    r"task=(compare|figures)": "needs finished runs; tests/report/test_comparing.py and test_curves.py make some",
    r"experiment=sequential": "needs thousands of errors; tests/run/test_sequential.py has few",
    r"hydra/launcher=submitit": "needs a cluster; tests/soak/test_launchers.py has a local one",
    r"resume=last": "needs an interrupted run; tests/run/test_checkpoints.py interrupts some",
}
"""What a command says -> why it is only composed (``test_commands.py``)."""
OTHER = {"trainer", "logger", "output", "cache"}
"""Where a command runs and what it tells: the tests' own."""


def jobs() -> list[str]:
    """The jobs of all commands, each once: the first of a sweep stands for it."""
    found: dict[str, None] = {}
    for block in commands():
        for argv in called_of(block.code):
            arguments = run_options(argv)
            if arguments and arguments[0] not in ("--help", "--cfg"):
                found[" ".join(jobs_of(arguments)[0])] = None
            elif arguments == []:
                found[""] = None
    return list(found)


def called_of(code: str) -> list[list[str]]:
    """Its commands, for which a folder is made and thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        return called(code, Path(folder))


def reason(job: str) -> str | None:
    """Why a job is not run; ``None``: it is."""
    return next((why for said, why in WHY_NOT.items() if re.search(said, job)), None)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set as edits of one's own."""
    folder = tmp_path_factory.mktemp("own")
    lines = []
    for index in range(40):
        made = record(index)
        (folder / f"{index}.png").write_bytes(made.image.data or b"")
        edit = {"id": made.id, "image": f"{index}.png", "question": made.question, "choices": list(COLOURS)}
        lines.append(json.dumps({**edit, "answer": made.answer, "reasoning": list(made.reasoning)}))
    (folder / "edits.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made_before(overrides: list[str], own: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """What commands name: the codebook of a run, and a folder that is new."""
    folder = tmp_path_factory.mktemp("before")

    def give(name: str) -> str:
        if name == "codebook" and not (folder / "codebook").exists():
            run(config("", overrides, folder, own))
        return str(folder / name)

    return give


def config(
    job: str, tiny: Sequence[str], out: Path, own: Path, before: Callable[[str], str] | None = None
) -> DictConfig:
    """The options of a job with everything large in it made small."""
    given = dict(item.split("=", 1) for item in job.split())
    says_own = given.get("dataset") == "own"
    ours = dict(item.split("=", 1) for item in tiny)
    kept = {name: value for name, value in given.items() if name.partition(".")[0] not in OTHER | {"hydra"}}
    # The data are those of the tests, in the reader's own schema where a command says so; no edits stay no edits.
    kept = {name: value for name, value in kept.items() if name.partition(".")[0] != "dataset"}
    if given.get("dataset.edits") == "0":
        kept["dataset.edits"] = "0"
    if says_own:
        kept |= {"dataset": "own", "dataset.root": str(own)}
        del ours["dataset.source._target_"]
    if "model.name" in kept:
        kept["model.name"] = ours["model.vlm.name"]
    kept = {name: value for name, value in kept.items() if not name.startswith("model.vlm.")}
    if kept.get("model.key_space", "").startswith("{"):
        kept["model.key_space"] = re.sub(r"layer:\d+", "layer:1", kept["model.key_space"]).replace(":256", ":4")
    elif kept.get("model.key_space") != "measured":
        kept.pop("model.key_space", None)
    if "codebook" in kept:
        assert before is not None
        kept["codebook"] = before("codebook")
    if "task.export" in kept:
        kept["task.export"] = str(out / "exported")
    if given.get("editor", "reasonedit") != "reasonedit":
        ours = {name: value for name, value in ours.items() if not name.startswith("editor.")}
    chosen = {**ours, **kept, "output": str(out)}
    if given.get("model") not in (None, "pocket_llava"):
        chosen |= {"model.vlm.dtype": "float32", "model.rounding": "0.001"}
    if given.get("task") == "topology":
        small = dict(item.removeprefix("+").split("=", 1) for item in SMALL_TOPOLOGY)
        chosen = {**small, **chosen}
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=[f"{name}={value}" for name, value in chosen.items()])
    for option, value in SMALL.items():
        if OmegaConf.select(cfg.editor, option) is not None:
            OmegaConf.update(cfg.editor, option, value)
    OmegaConf.resolve(cfg)
    return cfg


@pytest.mark.soak
@pytest.mark.parametrize("job", [job for job in jobs() if reason(job) is None])
def test_it_runs(job: str, overrides: list[str], own: Path, made_before: Callable[[str], str], tmp_path: Path) -> None:
    if "model.key_space=measured" in job:
        run(config(job.replace("model.key_space=measured", "task=topology"), overrides, tmp_path / "first", own))
    found: Any = run(config(job, overrides, tmp_path, own, made_before))
    assert found is not None
    file = {"validate_data": "data.json", "topology": "key_space.json"}
    task = next((item.partition("=")[2] for item in job.split() if item.startswith("task=")), "edit")
    assert (tmp_path / file.get(task, "results.json")).stat().st_size > 0


def test_every_reason_is_needed_and_most_commands_run() -> None:
    every = jobs()
    for said in WHY_NOT:
        assert any(re.search(said, job) for job in every), f"no command says {said} any more"
    assert sum(reason(job) is None for job in every) >= 20
