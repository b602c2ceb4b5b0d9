"""``task=figures``: several runs as tables and pictures, with the numbers of their ``results.json``."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from rv_edit.cli import one_line
from rv_edit.composing import conf_dir
from rv_edit.report import write_run
from rv_edit.report.curves import curve_rows
from rv_edit.report.figures import sequential_figure, times_figure
from rv_edit.tasks.figures import run as figures_task
from tests.report.synthetic import make_run

SUITES = ("acc", "loc", "t_gen", "i_gen", "r_gen", "coe_gen", "contrast")


def point(edits: int, level: float) -> dict[str, Any]:
    """A round; contrast was not asked."""
    metrics = {
        suite: {"mean": level, "ci95": [level - 0.05, level + 0.05], "n": 50}
        if suite != "contrast"
        else {"mean": None, "ci95": [None, None], "n": 0}
        for suite in SUITES
    }
    rates = {suite: None if suite == "contrast" else 0.75 for suite in SUITES}
    return {
        "edits": edits,
        "asked_edits": 50,
        "metrics": metrics,
        "accept_rate": rates,
        "seconds_per_edit": 0.25 * level,
        "keys": 3 * edits,
        "nbytes": 2048 * edits,
    }


def write(folder: Path, name: str, k: Any, levels: Sequence[float]) -> Path:
    result = make_run(4, loc=8)
    config = {**result.config, "editor": {"name": name, "codebook": {"k": k}}}
    curve = [point(200 * (place + 1), level) for place, level in enumerate(levels)]
    write_run(folder, replace(result, config=config, curve=curve))
    return folder


def task(tmp_path: Path, *overrides: str) -> list[Path]:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return figures_task(compose("config", overrides=["task=figures", f"output={tmp_path / 'out'}", *overrides]))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_several_editors_together(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a", "reasonedit", 5, [0.9, 0.8, 0.7]), write(tmp_path / "b", "ft_cot", 0, [0.4])
    paths = task(tmp_path, f"runs=[{one},{other}]")
    assert [path.name for path in paths] == ["times.csv", "times.png", "curves.csv", "curves.png"]
    rows = table(tmp_path / "out/curves.csv")
    assert [(row["run"], row["edits"]) for row in rows] == [
        ("reasonedit", "200"), ("reasonedit", "400"), ("reasonedit", "600"), ("ft_cot", "200"),
    ]  # fmt: skip
    assert float(rows[1]["t_gen"]) == 0.8 and float(rows[1]["t_gen_low"]) == pytest.approx(0.75)
    assert rows[1]["contrast"] == "" and float(rows[3]["kb"]) == 400.0 and float(rows[0]["acc_accept"]) == 0.75
    saved = json.loads((one / "results.json").read_text())
    times = table(tmp_path / "out/times.csv")
    assert float(times[0]["seconds_per_edit"]) == saved["seconds_per_edit"]
    assert float(times[0]["acc"]) == saved["after"]["acc"]["mean"]
    for name in ("curves.png", "times.png"):
        picture = Image.open(tmp_path / "out" / name)
        assert picture.size[0] > 600 and len(picture.convert("RGB").getcolors(1 << 24) or []) > 5


def test_lines_are_the_numbers_of_the_table() -> None:
    rows = curve_rows("one", [point(200, 0.9), point(400, 0.8)]) + curve_rows("two", [point(200, 0.5)])
    figure = sequential_figure(rows, "model, data")
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(panels) == ["Acc", "Loc", "T-Gen", "I-Gen", "R-Gen", "CoE-Gen", "accept rate, Acc", "seconds an edit"]
    first, second = panels["R-Gen"].get_lines()
    assert first.get_xydata().tolist() == [[200.0, 0.9], [400.0, 0.8]] and second.get_xydata().tolist() == [
        [200.0, 0.5]
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    assert panels["seconds an edit"].get_yscale() == "log"
    seconds = [
        {"run": "a", "seconds_per_edit": 0.5},
        {"run": "b", "seconds_per_edit": ""},
        {"run": "c", "seconds_per_edit": 2},
    ]
    bars = times_figure(seconds, "times").axes[0]
    assert [bar.get_width() for bar in bars.patches] == [0.5, 2.0]
    assert [text.get_text() for text in bars.get_yticklabels()] == ["a", "c"]


def test_an_ablation(tmp_path: Path) -> None:
    """Runs that differ in one option, numbers in their order, whatever the order of the folders."""
    folders = [write(tmp_path / f"k{k}", "reasonedit", k, []) for k in (10, 1, 5)]
    paths = task(tmp_path, f"runs=[{','.join(map(str, folders))}]", "task.option=editor.codebook.k")
    assert [path.name for path in paths] == ["times.csv", "times.png", "ablation.csv", "ablation.png"]
    rows = table(tmp_path / "out/ablation.csv")
    assert [row["value"] for row in rows] == ["1", "5", "10"] and len({row["run"] for row in rows}) == 1
    assert rows[0]["folder"].endswith("k1") and float(rows[0]["kb_per_edit"]) == 4.0
    with pytest.raises(ValueError, match="has no such option") as caught:
        task(tmp_path, f"runs=[{folders[0]}]", "task.option=editor.codebook.q")
    assert "\n" not in str(one_line(caught.value))


def test_words_are_an_axis_too(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, "reasonedit", name, []) for name in ("off", "both")]
    task(tmp_path, f"runs=[{folders[0]},{folders[1]}]", "task.option=editor.codebook.k")
    assert [row["value"] for row in table(tmp_path / "out/ablation.csv")] == ["both", "off"]
    assert (tmp_path / "out/ablation.png").stat().st_size > 5000


def test_runs_without_a_name_of_their_own_are_told_apart(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, "reasonedit", 5, [0.5]) for name in ("monday", "tuesday"))
    task(tmp_path, f"runs=[{one},{other}]")
    assert {row["run"] for row in table(tmp_path / "out/times.csv")} == {"reasonedit, monday", "reasonedit, tuesday"}


def test_no_runs_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"runs=\[one,other\]"):
        task(tmp_path)
    assert not (tmp_path / "out").exists()
