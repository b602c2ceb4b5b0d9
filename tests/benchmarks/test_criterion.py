"""The grid of the criterion on a tiny model: a cell is what an edit run gives, and is never computed twice."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from benchmarks import criterion, criterion_cells
from rv_edit.cli import conf_dir
from rv_edit.editors.answering import is_right
from rv_edit.run import run

EDITING = ["dataset.loc_random=3", "dataset.loc_similar=3", "editor.evidence.grid=2", "editor.augment.variants=2"]
MEASURING = ["task.networks=2", "task.pairs=3", "task.lam.pairs=4", "task.anchors=2", "task.around=2"]
Grid = Callable[..., Any]


@pytest.fixture
def grid(tiny_options: list[str], tmp_path: Path) -> Grid:
    def make(cells: int | None = None) -> Any:
        args = argparse.Namespace(
            edits=4, layers=[0, 2], lams=[0.5, 2.0], cells=cells, resamples=50, device="cpu",
            overrides=[*tiny_options, *EDITING, *MEASURING],
        )  # fmt: skip
        return criterion.run_grid(args, "pocket_llava", "pocket_aokvqa", tmp_path / "grid")

    return make


def test_cells_are_kept_and_gone_on_with(grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    asked: list[int] = []
    edit, answer = criterion_cells.Recalling.edit, criterion_cells.answer_questions
    monkeypatch.setattr(criterion_cells.Recalling, "edit", lambda self, one: made.append(one.id) or edit(self, one))

    def counted(vlm: Any, some: list[Any], *rest: Any) -> Any:
        asked.append(len(some))
        return answer(vlm, some, *rest)

    monkeypatch.setattr(criterion_cells, "answer_questions", counted)
    assert grid(cells=1) is None and len(made) == 4 and asked[0] > 0
    first = (tmp_path / "grid" / "layer0_lam0.5.json").read_bytes()
    looked: list[str] = []
    find = criterion_cells.ReasonEdit.crops
    monkeypatch.setattr(criterion_cells.ReasonEdit, "crops", lambda self, *one: looked.append("") or find(self, *one))
    found = grid()
    assert len(made) == 4 + 3 * 4 and looked == []  # three cells were missing; the evidence was there
    assert sum(asked[1:]) < 3 * asked[0] + 1  # what was asked before, with the same facts, is not asked again
    assert (tmp_path / "grid" / "layer0_lam0.5.json").read_bytes() == first
    assert [(cell["layer"], cell["lam"]) for cell in found["cells"]] == [(0, 0.5), (0, 2.0), (2, 0.5), (2, 2.0)]
    assert len(found["correlations"]) == 4 and {row["cells"] for row in found["correlations"]} == {4}
    json.dumps(found)
    made.clear()
    assert grid() == found and made == []


def test_a_cell_is_what_an_edit_run_gives(grid: Grid, tiny_options: list[str], tmp_path: Path) -> None:
    grid(cells=1)
    cell = json.loads((tmp_path / "grid" / "layer0_lam0.5.json").read_text())
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        kept = [item for item in tiny_options if not item.startswith("model.key_space")]
        options = [*kept, *EDITING, "dataset.edits=4", "logger=none", "trainer=cpu", f"output={tmp_path / 'out'}"]
        space = "model.key_space={layer: 0, lam: 0.5, pooling: mean, pairs: 4}"
        cfg = compose("config", overrides=[*options, space])
    OmegaConf.resolve(cfg)
    result = run(cfg)
    expected = sorted((q.suite, q.edit_id or "", is_right(q, a), a.accepted) for q, a in result.after)
    assert sorted((suite, edit or "", right, accepted) for suite, edit, right, accepted in cell["answers"]) == expected
    assert cell["keys"] == result.codebook["keys"] and cell["edits"] == 4
