"""Dashboards: what they show is what runs log, and they are built without a server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from rv_edit.composing import compose_parts
from rv_edit.editors.sequential import Point
from rv_edit.errors import ConfigError
from rv_edit.report import RunResult
from rv_edit.report.dashboards import ABLATIONS, EVERY_EDIT, Panel, main, report, sections, workspace
from rv_edit.report.wandb_log import summary
from tests.source_tree import ROOT


def panels() -> list[Panel]:
    return [panel for section in sections() for panel in section.panels]


def test_every_figure_is_one_that_is_logged(run: RunResult) -> None:
    suites = {suite: {"mean": 1.0} for suite in run.metrics["after"]}
    point = Point(1, 1, suites, dict.fromkeys(suites, 0.5), 1.0, 1, 1).figures()
    logged = {*summary(run), *point, *EVERY_EDIT, "edits"}  # the last is the table
    topology = {"topology/bimodal_modularity_std", "topology/lam"}
    assert {name for panel in panels() for name in panel.y} <= logged | topology
    assert {panel.x for panel in panels() if panel.kind == "line"} <= {*point, "trainer/global_step"}


def test_every_option_exists_and_has_a_sweep() -> None:
    swept = {
        name
        for path in (ROOT / "conf/sweep").glob("*.yaml")
        for name in path.read_text(encoding="utf-8").replace(":", "").split()
        if "." in name
    }
    for _, option, _ in ABLATIONS:
        if option != "model.key_space.layer":  # no grid fits every model
            assert option in swept, option
    found = compose_parts(["editor=ft"], ("editor",)) | {"reason": compose_parts([], ("editor",))["editor"]}
    assert "lr" in found["editor"]["training"] and {"lam", "reasoning_keys"} <= set(found["reason"])


def test_a_dry_run_prints_what_would_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--dry-run", "--project", "mine"])
    said = capsys.readouterr().out
    assert "/mine" in said.splitlines()[0] and len(said.splitlines()) == 1 + len(sections()) + len(panels())
    for wanted in (
        "Fig. 4",
        "Fig. 5a",
        "Fig. 5b",
        "Fig. 5c",
        "Fig. 11",
        "Fig. 12",
        "sequential/coe_gen",
        "against sequential/edits",
    ):
        assert wanted in said, wanted
    main(["--dry-run", "--json"])
    assert len(json.loads(capsys.readouterr().out)) == len(panels())


def test_as_a_module_without_the_library() -> None:
    code = (
        "import runpy, sys\n"
        "sys.modules['wandb_workspaces'] = None\n"
        "sys.argv = ['dashboards', '--dry-run']\n"
        "runpy.run_module('rv_edit.report.dashboards', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0 and "Sequential editing" in done.stdout, done.stderr


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rv_edit.loggers.has_key", lambda: False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"rv-edit\[dashboards\]"):
        main([])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(ConfigError, match="wandb login"):
        main([])


def test_the_library_takes_them() -> None:
    """Built, and serialised as far as that asks no server."""
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not here")
    made = workspace("team", "project")
    assert [section.name for section in made.sections] == [section.name for section in sections()]
    spec = made._to_model().model_dump_json(by_alias=True)
    assert spec.count("sequential/") >= 9 and "config:editor.value.codebook.k" in spec, "as the server names options"
    blocks = report("team", "project").blocks
    assert [block.text for block in blocks[::2]] == [section.name for section in sections()]
    shown = [panel._to_model().model_dump_json(by_alias=True) for grid in blocks[1::2] for panel in grid.panels]
    assert len(shown) == len(panels())
    for panel, text in zip(panels(), shown, strict=True):
        assert all(name in text for name in panel.y), panel


def test_saving_is_asked_of_the_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not here")

    class Board:
        url = "https://example.org/board"

        def save(self) -> Any:
            return self

    monkeypatch.setattr("rv_edit.loggers.has_key", lambda: True)
    for name in ("workspace", "report"):
        monkeypatch.setattr(f"rv_edit.report.dashboards.{name}", lambda entity, project: Board())
    main(["--entity", "team"])
    assert capsys.readouterr().out.splitlines() == [Board.url] * 2
