"""The command line on a tiny model and data set, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from rv_edit.cli import conf_dir
from tests.run.tiny_options import tiny_options

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What makes any command tiny."""
    return [
        *tiny_options(tmp_path_factory.mktemp("tiny")),
        "dataset.edits=6",
        "dataset.loc_random=3",
        "dataset.loc_similar=3",
        "editor.evidence.grid=2",
        "editor.augment.variants=2",
        "logger=none",
        "trainer=cpu",
    ]


def that_fit(overrides: list[str], more: tuple[str, ...]) -> list[str]:
    """The overrides that ``more`` does not give, without those of another editor's options."""
    given = {item.partition("=")[0] for item in more}
    kept = [item for item in overrides if item.partition("=")[0] not in given]
    if any(item.startswith("editor=") and item != "editor=reasonedit" for item in more):
        kept = [item for item in kept if not item.startswith("editor.")]
    return kept


@pytest.fixture
def composed(overrides: list[str], tmp_path: Path) -> Callable[..., DictConfig]:
    """A configuration as the command line would give it, with ``tmp_path / out`` as output folder."""

    def make(*more: str, out: str = "out") -> DictConfig:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose("config", overrides=[*that_fit(overrides, more), *more, f"output={tmp_path / out}"])
        OmegaConf.resolve(cfg)
        return cfg

    return make


@pytest.fixture(scope="session")
def command(overrides: list[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``python run.py …`` in a process of its own."""

    def call(*more: str, tiny: bool = True, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        kept = that_fit(overrides, more) if tiny else []
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "HYDRA_"))}
        settings = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **(env or {})}
        return subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *kept, *more],
            capture_output=True,
            text=True,
            timeout=1800,  # a busy machine starves a child; a hang is what it is for
            env={**clean, **settings},
            cwd=ROOT,
        )

    return call
