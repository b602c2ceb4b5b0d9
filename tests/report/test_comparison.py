"""Tables of editors: the paper's figures are the paper's, ours stand where they belong, whatever is missing."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rv_edit.report.comparison import (
    SUITES,
    Comparison,
    Entry,
    latex,
    page,
    paper_table,
    print_comparison,
    write_comparison,
)
from rv_edit.report.comparison.latex import escaped

ROOT = Path(__file__).parents[2]
EDITORS = ("Unedited", "FT", "GRACE", "Odd_one", "ReasonEdit")
PAPER = {"models": {"small": "LLaVA-1.5-7B"}, "datasets": {"drawn": "A-OKVQA", "told": "FVQA"}}


def results(mean: float, lost: int = 0, seconds: float | None = 0.25) -> dict[str, Any]:
    after = {
        suite: {"mean": mean - at / 100, "ci95": [mean - 0.1, mean + 0.05], "n": 10 * (1 + at)}
        for at, suite in enumerate((*SUITES, "contrast"))
    }
    return {
        "before": {suite: {"mean": 0.0, "ci95": [0.0, 0.1], "n": 10} for suite in after},
        "after": after,
        "error_counts": {"edits_diverged": lost} if lost else {},
        "seconds_per_edit": seconds,
        "peak_memory_mb": 812.4,
        "kb_per_edit": 12.345,
        "git_hash": "abc",
    }


def made() -> Comparison:
    """Four of five editors on one of two models and one of two data sets; the fifth failed, the rest has not run."""
    entries = []
    for model in ("small", "other"):
        for dataset in ("drawn", "told"):
            for at, editor in enumerate(EDITORS):
                here = (model, dataset) == ("small", "drawn")
                failed = here and editor == "GRACE"
                found = results(0.5 + at / 10, lost=3 if editor == "FT" else 0, seconds=0.25 if at else None)
                reason = "CUDA ran out of <memory>" if failed else None
                entries.append(Entry(editor, model, dataset, 40, found if here and not failed else None, reason))
    return Comparison(entries, EDITORS, ("small", "other"), ("drawn", "told"), PAPER["models"], PAPER["datasets"])


def test_the_papers_table_is_the_papers() -> None:
    place = next(
        (up / "shared/reference/paper.txt" for up in ROOT.parents[:2] if (up / "shared/reference").is_dir()), None
    )
    if place is None or not place.is_file():
        pytest.skip("the paper's text is not beside the repository")
    table, found, dataset, models = paper_table(), 0, "FVQA", []
    for line in place.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if cells[0] == "Editor" and "Errors" in line:
            models = [cell.partition(" (")[0] for cell in cells[1:5]]
        elif "Dataset 1: FVQA" in line:
            dataset = "A-OKVQA"
        elif models and len(cells) >= 25 and re.fullmatch(r"\d\.\d\d", cells[1]):
            for at, model in enumerate(models):
                column = table[model, dataset][cells[0]]
                assert [f"{column[suite].mean:.2f}" for suite in SUITES] == cells[1 + 6 * at : 7 + 6 * at], (
                    cells[0],
                    model,
                )
                found += 1
    assert found == 88 == sum(len(column) for column in table.values())


def test_page_has_every_editor_with_the_papers_figures_below() -> None:
    text = page(made(), "python run.py experiment=table1", ["Written somewhere."])
    lines = text.splitlines()
    assert "Of 20 cells 4 are finished, 15 have not run yet, 1 failed." in lines
    start = lines.index("## (a) `drawn`")
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start + 2 : start + 4 + 9]]
    assert all(len(row) == 13 for row in rows)
    names = [row[0] for row in rows[2:]]
    assert names[:9] == ["Unedited", "*paper*", "FT", "*paper*", "GRACE", "*paper*", "Odd_one", "ReasonEdit", "*paper*"]
    ft, paper = rows[4], rows[5]
    assert ft[1] == "0.60 <sub>.50–.65</sub>" and ft[6] == "0.55 <sub>.50–.65</sub>" and ft[7:] == ["–"] * 6
    assert paper[1:7] == ["*0.59*", "*0.55*", "*0.53*", "*0.53*", "*0.34*", "*0.40*"] and paper[7:] == [""] * 6
    assert rows[6][1:] == ["–"] * 12  # failed
    assert "| FT | 40 | 3 diverged | 0.25 | 812 | 12.3 | – |" in text
    assert "Questions to `small`: Acc 10, T-Gen 20" in text and "`small` beside the paper's LLaVA-1.5-7B" in text
    assert "- GRACE, `small`, `drawn`: CUDA ran out of ‹memory>" in lines
    assert "**agrees**" in text and "## The claims of the paper's 4.3" in lines


def test_latex_has_as_many_columns_everywhere() -> None:
    text = latex(made())
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {row.count("&") - row.count(r"\&") for row in rows} == {12}
    assert r"Odd\_one & 0.80$_{[0.70,0.85]}$" in text and r"\textit{paper} & \textit{0.59}" in text
    assert text.count("{") == text.count("}") and escaped("a_b & 5 %") == r"a\_b \& 5 \%"


def test_files_are_written_together_and_figures_have_their_rows(tmp_path: Path) -> None:
    paths = write_comparison(made(), tmp_path / "out")
    assert [path.name for path in paths] == [
        "table1.md", "table1.csv", "table1.tex", "radar.csv", "cost.csv", "radar.png", "cost.png",
    ]  # fmt: skip
    with (tmp_path / "out/table1.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 20 * 6 + 4  # contrast besides where it was asked
    (one,) = [row for row in rows if row["editor"] == "FT" and row["suite"] == "loc" and row["mean"]]
    assert float(one["mean"]) == pytest.approx(0.55) and one["paper"] == "0.4" and one["edits_diverged"] == "3"
    (failed,) = [row for row in rows if row["failed"] and row["suite"] == "acc"]
    assert failed["editor"] == "GRACE" and failed["mean"] == ""
    costs = list(csv.DictReader((tmp_path / "out/cost.csv").open(encoding="utf-8")))
    assert [row["editor"] for row in costs] == ["FT", "Odd_one", "ReasonEdit"]  # the unedited model makes no edits
    for name in ("radar", "cost"):
        image = Image.open(tmp_path / f"out/{name}.png").convert("L")
        assert image.width > 600 and image.getextrema() == (0, 255)


def test_nothing_finished_is_a_table_all_the_same(tmp_path: Path) -> None:
    empty = Comparison([Entry("FT", "small", "drawn", 5)], ["FT"], ["small"], ["drawn"])
    paths = write_comparison(empty, tmp_path)
    assert [path.name for path in paths] == ["table1.md", "table1.csv", "table1.tex"]
    assert "| FT | – | – | – | – | – | – |" in (tmp_path / "table1.md").read_text(encoding="utf-8")


def test_the_terminal_gets_figures_costs_and_failures(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(made())
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 180
    assert "0.60 0.50-0.65" in said and "3 diverged" in said and "812" in said
    assert "failed: GRACE, small, drawn: CUDA ran out of <memory>" in said and "not run yet: 15 of 20 cells" in said
