"""``-m`` with several processes a job: right under Slurm, if it is asked for as many, else refused in one line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from rv_edit.cli import one_line
from rv_edit.composing import conf_dir
from rv_edit.errors import ConfigError
from rv_edit.run import _refuse_parallel_sweeps

SLURM = ("hydra/launcher=submitit_slurm",)


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    HydraConfig.instance().cfg = None
    GlobalHydra.instance().clear()


def refused(*overrides: str, mode: RunMode = RunMode.MULTIRUN) -> str | None:
    """What a job of a sweep with these options is told."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg: DictConfig = compose("config", overrides=list(overrides), return_hydra_config=True)
    with open_dict(cfg.hydra):
        cfg.hydra.mode = mode
        cfg.hydra.runtime.output_dir = "out"
    HydraConfig.instance().set_config(cfg)
    try:
        _refuse_parallel_sweeps(cfg)
    except ConfigError as error:
        return one_line(error)
    return None


def test_one_process_a_job_is_right_everywhere() -> None:
    assert refused() is None
    assert refused("trainer.devices=4", mode=RunMode.RUN) is None


@pytest.mark.parametrize("option", ["trainer.devices=2", "trainer.devices=auto", "trainer.num_nodes=2"])
def test_lightning_would_start_whole_sweeps(option: str) -> None:
    said = refused(option)
    assert said is not None and option.split(".")[1] in said and "submitit_slurm" in said and "\n" not in said


def test_slurm_starts_the_processes_of_each_job() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not here")
    asked = ("hydra.launcher.tasks_per_node=4", "hydra.launcher.nodes=2")
    assert refused(*SLURM, *asked, "trainer.devices=4", "trainer.num_nodes=2") is None
    assert refused(*SLURM) is None
    said = refused(*SLURM, "trainer.devices=4")
    assert said is not None and said.endswith("give hydra.launcher.tasks_per_node=4")
    said = refused(*SLURM, "hydra.launcher.tasks_per_node=4", "trainer.devices=4", "trainer.num_nodes=2")
    assert said is not None and said.endswith("give hydra.launcher.nodes=2")


def test_a_launcher_on_this_machine_starts_no_ranks() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not here")
    assert refused("hydra/launcher=submitit_local", "trainer.devices=2") is not None
