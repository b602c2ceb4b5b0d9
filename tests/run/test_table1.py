"""``experiment=table1`` on tiny models and data: real edit runs in processes of their own, one of which fails."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from rv_edit.cli import conf_dir
from rv_edit.composing import option_names
from rv_edit.errors import ConfigError
from rv_edit.run import run
from rv_edit.tasks.table1_options import passed_on, table1_options
from tests.run.conftest import ROOT

SHORT = "'editor.training.steps=9', 'editor.training.least_steps=2'"
Table = Callable[..., DictConfig]


@pytest.fixture
def table(overrides: list[str], tmp_path: Path) -> Table:
    """The options of a table of FT and GRACE on the tiny model and data set."""

    def make(*more: str, ft: str = SHORT, grace: str = SHORT) -> DictConfig:
        given = [item for item in overrides if not item.startswith(("editor.", "dataset.edits"))]
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            chosen = ["table1.models=[pocket_llava]", "table1.datasets=[pocket_aokvqa]", "table1.edits=4"]
            own = ["table1.editors=[grace,ft]"] if not any("editors" in item for item in more) else []
            place = [f"table1.folder={tmp_path / 'cells'}", f"table1.report={tmp_path / 'report'}"]
            options = [f"table1.options={{ft: [{ft}], grace: [{grace}]}}"]
            options = [] if any(item.startswith("table1.options") for item in more) else options
            cfg = compose(
                "config", overrides=["experiment=table1", *chosen, *own, *place, *options, *more, f"output={tmp_path}"]
            )
        cfg.table1.given = given
        OmegaConf.resolve(cfg)
        return cfg

    return make


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "report/table1.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def stamps(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("results.json")}


def test_a_failing_cell_costs_no_other_and_the_table_goes_on(table: Table, tmp_path: Path, caplog: Any) -> None:
    with pytest.raises(ConfigError, match="1 of 2 cells failed"), caplog.at_level("INFO"):
        run(table(ft="'editor.training.lr=-1'"))
    assert "ft · pocket_llava · pocket_aokvqa: failed: editor.training.lr=-1: give a number above 0" in caplog.text
    page = (tmp_path / "report/table1.md").read_text(encoding="utf-8")
    assert "Of 2 cells 1 are finished, 0 have not run yet, 1 failed." in page
    assert "- FT, `pocket_llava`, `pocket_aokvqa`: editor.training.lr=-1: give a number above 0" in page
    (first,) = stamps(tmp_path / "cells").items()
    # the option is mended: another cell; the finished one is not touched
    found = run(table())
    assert len(stamps(tmp_path / "cells")) == 2 and stamps(tmp_path / "cells")[first[0]] == first[1]
    assert [entry.editor for entry in found.finished] == ["FT", "GRACE"] and not found.failed
    made = json.loads(next((tmp_path / "cells/pocket_llava/pocket_aokvqa/ft").glob("*/results.json")).read_text())
    (loc,) = [row for row in rows(tmp_path) if (row["editor"], row["suite"]) == ("FT", "loc")]
    assert float(loc["mean"]) == made["after"]["loc"]["mean"] and loc["paper"] == "0.4" and loc["edits"] == "4"
    assert made["config"]["dataset"]["edits"] == 4 and made["peak_memory_mb"] > 0
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "table1.md", "table1.csv", "table1.tex", "radar.csv", "radar.png", "cost.csv", "cost.png",
    }  # fmt: skip
    before = stamps(tmp_path / "cells")
    again = run(table("table1.only_report=true", ft="'editor.training.lr=0.5'"))  # not run, so it is missing
    assert len(again.missing) == 1 and stamps(tmp_path / "cells") == before
    assert "1 have not run yet" in (tmp_path / "report/table1.md").read_text(encoding="utf-8")


def test_a_table_that_was_killed_goes_on(table: Table, overrides: list[str], tmp_path: Path) -> None:
    """Killed while a cell is at work, which lives on: the next command waits for it and runs what is missing."""
    cfg = table("table1.jobs=1")
    (tmp_path / "cfg.yaml").write_text(OmegaConf.to_yaml(cfg), encoding="utf-8")
    code = "import sys; from omegaconf import OmegaConf; from rv_edit.run import run; run(OmegaConf.load(sys.argv[1]))"
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "cfg.yaml")], cwd=ROOT, env=quiet())
    cells = tmp_path / "cells/pocket_llava/pocket_aokvqa"
    deadline = time.monotonic() + 600
    while not list(cells.glob("*/*/terminal.txt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    begun = list(cells.glob("*/*/terminal.txt"))
    assert len(begun) == 1 and not stamps(cells)
    found = run(table())
    assert not found.failed and len(found.finished) == 2
    assert len(list(cells.glob("*/*/terminal.txt"))) == 2


def quiet() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def test_the_command_line_knows_the_table(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = command("--help", tiny=False)
    assert "experiment=table1" in done.stdout and "table1.editors=[" in done.stdout
    place = f"hydra.run.dir={tmp_path}"
    done = command(
        "experiment=table1", "table1.only_report=true", "table1.editors=[ft,reason*]", "table1.datasets=[pocket_fvqa]",
        "table1.edits_of={ft: 7}", "dataset.loc_random=5", f"table1.folder={tmp_path / 'cells'}", place, tiny=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "cells/table1.md").read_text(encoding="utf-8")
    assert "Made by `python run.py experiment=table1 'table1.editors=[ft,reason*]'" in page
    assert "dataset.loc_random=5`" in page and str(tmp_path) not in page
    edits = {(row["editor"], row["edits"]) for row in csv.DictReader((tmp_path / "cells/table1.csv").open())}
    assert edits == {("FT", "7"), ("ReasonEdit", "200")}
    done = command("experiment=table1", "editor=ft", place, tiny=False)
    assert done.returncode == 2 and done.stderr == "error: editor=: in a table, give table1.editors=[…]\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("table1.editors=[nobody]", "table1.editors: no 'nobody'; there are balancedit"),
        ("table1.models=[]", "table1.models"),
        ("table1.edits=0", "table1.edits=0"),
        ("table1.edits_of={nobody: 3}", "table1.edits_of.nobody"),
        ("table1.edits_of={ft: many}", "table1.edits_of.ft=many"),
        ("table1.options={nobody: ['a=1']}", "table1.options.nobody"),
        ("table1.jobs=0", "table1.jobs=0"),
        ("table1.limit_s=-3", "table1.limit_s=-3"),
        ("table1.folder=/proc/nothing/here", "table1.folder="),
        ("table1.options={ft: ['editor.training.colour=3'], grace: ['editor.colour=3']}", "colour"),
    ],
)
def test_mistakes_are_one_line_before_any_work(table: Table, option: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table1_options(table(option))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_options_for_all_cells_and_rows_in_the_papers_order(table: Table) -> None:
    found = table1_options(table('table1.editors=["*"]', "table1.edits_of={mend: 2, ft/pocket_llava/pocket_aokvqa: 3}"))
    editors = [cell.editor for cell in found.cells]
    assert editors[:4] == ["unedited", "ft", "mend", "ike"] and editors[-1] == "reasonedit"
    assert sorted(editors) == sorted(option_names("editor"))
    edits = {cell.editor: cell.edits for cell in found.cells}
    assert (edits["mend"], edits["ft"], edits["grace"]) == (2, 3, 4)
    ft = next(cell for cell in found.cells if cell.editor == "ft")
    assert "editor.training.steps=9" in ft.options and "trainer=cpu" in ft.options and "logger=none" in ft.options
    assert all("editor.training.steps=9" not in cell.options for cell in found.cells if cell.editor == "lora")


def test_only_some_options_of_a_command_line_are_the_cells() -> None:
    given = ["experiment=table1", "table1.edits=3", "+table1.options.ft=[a]", "hydra.run.dir=x", "seed=3", "logger=csv"]
    assert passed_on(given) == ("seed=3", "logger=csv") and passed_on(["seed=3"]) == ("logger=none", "seed=3")
    for option in ("editor.training.lr=3", "dataset.edits=3", "model=llava", "++editor.x=1"):
        with pytest.raises(ConfigError, match="in a table"):
            passed_on([option])
