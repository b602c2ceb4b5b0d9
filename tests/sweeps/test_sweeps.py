"""``conf/sweep``: every command that an agent would start composes to the options that the sweep means."""

from __future__ import annotations

import json
import os
import queue
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args
from wandb.wandb_agent import Agent

from rv_edit.composing import compose_parts, conf_dir, option_names
from tests.source_tree import ROOT

SWEEPS = option_names("sweep")
ABLATIONS = {
    "k": "editor.codebook.k",
    "percentile": "editor.codebook.percentile",
    "lambda": "editor.lam",
    "merging": "editor.codebook.merge",
    "m": "task.pairs",
    "reasoning_keys": "editor.reasoning_keys",
}
"""The paper's ablations, and the option that each varies."""
TRAINED = ("ft", "lora", "mend", "grace", "balancedit")
"""Editors with a learning rate."""


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((conf_dir() / "sweep" / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def grid(sweep: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The points of a sweep, as the server deals them out."""
    axes = {name: node["values"] if "values" in node else [node["value"]] for name, node in sweep["parameters"].items()}
    return [dict(zip(axes, point, strict=True)) for point in product(*axes.values())]


def each_value(sweep: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Points in which every value of every axis occurs; not every pair of them, for composing takes a while."""
    points = grid(sweep)
    first = points[0]
    return [point for point in points if sum(value != first[name] for name, value in point.items()) <= 1]


def rendered(sweep: Mapping[str, Any], point: Mapping[str, Any]) -> list[str]:
    """The overrides that the agent puts behind the program, by its own code."""
    macros = create_sweep_command_args({"args": {name: {"value": value} for name, value in point.items()}})
    command = create_sweep_command(list(sweep["command"]))
    assert command[:3] == ["${env}", "${interpreter}", "${program}"] and sweep["program"] == "run.py"
    overrides: list[str] = []
    for part in command[3:]:
        overrides += macros[part[2:-1]] if part.startswith("${") else [part]
    return overrides


def at(options: Mapping[str, Any], name: str) -> Any:
    value: Any = options
    for part in name.split("."):
        value = value[part]
    return value


@pytest.mark.parametrize("name", SWEEPS)
def test_every_point_composes_to_what_it_says(name: str) -> None:
    sweep = read(name)
    assert sweep["method"] == "grid" and sweep["metric"]["goal"] == "maximize"
    assert len(grid(sweep)) >= 3
    for point in each_value(sweep):
        found = compose_parts(rendered(sweep, point), ("editor", "dataset", "task"))
        for option, value in point.items():
            chosen = at(found, option)
            chosen = chosen["name"] if option in ("editor", "task") else chosen
            wanted = None if value == "null" else value
            assert chosen == wanted and type(chosen) is type(wanted), (option, chosen)


def test_every_ablation_of_the_paper_and_every_learning_rate_has_one() -> None:
    for name, option in ABLATIONS.items():
        assert len(read(name)["parameters"][option]["values"]) >= 3, name
    for editor in TRAINED:
        parameters = read(f"lr_{editor}")["parameters"]
        assert parameters["editor"]["values"] == [editor, f"{editor}_cot"]
        rates = parameters["editor.training.lr"]["values"]
        own = compose_parts([f"editor={editor}"], ("editor",))["editor"]["training"]["lr"]
        assert rates == sorted(rates) and rates[0] < own < rates[-1], "the rate in force lies within"
    with_rates = {name for name in option_names("editor") if "lr" in (editor_options(name).get("training") or {})}
    assert with_rates == {form for editor in TRAINED for form in (editor, f"{editor}_cot")}
    assert set(SWEEPS) == {*ABLATIONS, *(f"lr_{editor}" for editor in TRAINED)}


def editor_options(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((conf_dir() / f"editor/{name}.yaml").read_text(encoding="utf-8"))
    return found


def test_their_metric_is_one_that_runs_have() -> None:
    from rv_edit.report.wandb_log import summary
    from tests.report.synthetic import make_run

    figures = summary(make_run(3))
    assert {read(name)["metric"]["name"] for name in SWEEPS if name != "m"} <= set(figures)
    six = ("acc", "loc", "t_gen", "i_gen", "r_gen", "coe_gen")
    assert figures["test/mean"] == pytest.approx(sum(figures[f"test/{suite}"] for suite in six) / 6)


def test_an_agent_starts_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """W&B's own agent, with a server in this process and a stand-in for the program."""
    sweep = read("merging")
    points = grid(sweep)
    waiting = [
        {
            "type": "run",
            "run_id": f"run{place}",
            "program": str(ROOT / "tests/sweeps/stand_in.py"),
            "args": {name: {"value": value} for name, value in point.items()},
        }
        for place, point in enumerate(points)
    ]
    monkeypatch.setattr("wandb.apis.public.sweeps._sweep_with_runs", lambda *args: {"config": yaml.safe_dump(sweep)})
    monkeypatch.setattr("wandb.apis.public.sweeps._register_agent", lambda *args, **kwargs: {"id": "agent"})
    monkeypatch.setattr(
        "wandb.apis.public.sweeps._agent_heartbeat",
        lambda api, agent, metrics, running: [waiting.pop(0)] if waiting and not running else [],
    )
    monkeypatch.setattr("wandb.wandb_agent.wandb.Api", lambda *args, **kwargs: None)
    monkeypatch.setattr("wandb.wandb_agent.wandb.teardown", lambda *args: None)
    monkeypatch.setattr(Agent, "POLL_INTERVAL", 0.2)
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.setenv(name, "")  # the agent sets them for good
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("STAND_IN_OUT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    agent = Agent(None, queue.Queue(), sweep_id="sweep", count=len(points))
    agent.run()
    assert agent._failed == 0 and not waiting
    for place, point in enumerate(points):
        found = json.loads((tmp_path / f"run{place}.json").read_text())
        assert found["editor"]["codebook"]["merge"] == point["editor.codebook.merge"]
        assert found["argv"] == [f"{name}={value}" for name, value in point.items()]
