"""The page of the topology is written from kept tables alone, and says of each claim what they say."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import key_layers, topology_page
from benchmarks.topology_claims import CLAIMS
from benchmarks.topology_report import page, table
from tests.benchmarks.test_topology_claims import tables

CORRELATIONS = [
    {
        "suites": "the paper's six",
        "criterion": criterion,
        "spearman": value,
        "kendall": None,
        "spearman_edits_drawn_again": [0.25, 0.75],
        "spearman_cells_drawn_again": None,
    }
    for criterion, value in (("harmonic_mean", -0.125), ("bimodality", 0.5))
]
CELLS = [
    {"layer": layer, "lam": lam, "harmonic_mean": lam, "bimodal_modularity": lam, "mean_of_suites": lam / 9}
    for layer in (0, 1)
    for lam in (1.0, 2.0)
]


def write_csv(path: Path, rows: Any) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


def cell(home: Path, sign: float, keys: bool = True) -> None:
    """What runs leave of a model and data set."""
    folder = home / "topology"
    folder.mkdir(parents=True)
    found = tables(sign, keys=keys)
    for name in ("layers", "balance", "sizes"):
        write_csv(folder / f"{name}.csv", getattr(found, name))
    if keys:
        write_csv(home / "keys.csv", found.keys)
    curves = {"networks": 10, "pairs": {"layers": 20, "balance": 10}, "seed": 0}
    artefact = {"layer": 2, "pooling": "mean", "lam": 1.0, "model_fingerprint": "f" * 64, "curves": curves}
    (folder / "key_space.json").write_text(json.dumps(artefact))
    (folder / "layers.png").write_bytes(b"picture")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    found = tmp_path / "docs"
    found.mkdir()
    (found / "topology_head.md").write_text("# The head\n")
    (found / "topology_criterion.md").write_text("On {cells} key spaces, {edits} edits.\n")
    return found


def run(docs: Path, out: Path, *options: str, monkeypatch: pytest.MonkeyPatch) -> str:
    given = ["topology_page.py", "--out", str(out), "--docs", str(docs), "--criterion", str(out / "criterion")]
    monkeypatch.setattr("sys.argv", [*given, *options])
    topology_page.main()
    return (docs / "topology.md").read_text()


def test_the_page_says_of_each_claim_what_each_cell_says(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    cell(out / "pocket_a" / "pocket_x", 1.0)
    cell(out / "pocket_b" / "pocket_x", -1.0, keys=False)
    text = run(docs, out, "--models", "pocket_a", "pocket_b", "--datasets", "pocket_x", monkeypatch=monkeypatch)
    assert text.startswith("# The head\n")
    assert "| the paper | a, x | b, x |" in text
    for place, (claim, figure, _) in enumerate(CLAIMS):
        if figure == "keys":
            assert f"| {claim} | + | ? |" in text
        elif place < 6:
            assert f"| {claim} | + | − |" in text
            assert f"| {claim} | **agrees** |" in text and f"| {claim} | **differs** |" in text
    assert (docs / "figures" / "topology" / "pocket_a_pocket_x_layers.png").read_bytes() == b"picture"
    assert text.count("![layers](figures/topology/pocket_a_pocket_x_layers.png)") == 1
    assert "Does the criterion predict editing?" not in text
    assert "[keys.csv](results/topology/pocket_a-on-pocket_x/keys.csv)" in text
    assert "pocket_b-on-pocket_x/keys.csv" not in text


def test_the_page_is_written_again_without_the_runs(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    cell(out / "pocket_a" / "pocket_x", 1.0)
    first = run(docs, out, "--models", "pocket_a", "--datasets", "pocket_x", monkeypatch=monkeypatch)
    again = run(docs, tmp_path / "none", "--models", monkeypatch=monkeypatch)
    assert again == first
    assert table(docs / "results/topology/pocket_a-on-pocket_x/layers.csv") == table(
        out / "pocket_a/pocket_x/topology/layers.csv"
    )


def test_correlations_and_costs_are_taken_up(docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    cell(out / "pocket_a" / "pocket_x", 1.0)
    place = out / "criterion" / "pocket_a" / "pocket_x" / "correlation.json"
    place.parent.mkdir(parents=True)
    found = {"model": "pocket_a", "dataset": "pocket_x", "edits": 7, "cells": CELLS, "correlations": CORRELATIONS}
    place.write_text(json.dumps(found))
    text = run(docs, out, "--models", "pocket_a", "--datasets", "pocket_x", monkeypatch=monkeypatch)
    assert "On 4 key spaces, 7 edits." in text
    assert "| a, x | the paper's six | harmonic mean | **-0.12** | 0.25 … 0.75 | – | – |" in text
    assert "| a, x | the paper's six | Q_B | **0.50** | 0.25 … 0.75 | – | – |" in text
    assert "| a, x | the paper's six | λ alone | 1.00 | | | |" in text
    assert (docs / "figures/topology/pocket_a_pocket_x_criterion.png").read_bytes().startswith(b"\x89PNG")


def test_a_cell_that_fails_does_not_lose_the_others(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    cell(out / "pocket_b" / "pocket_x", 1.0)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("failed, see terminal.txt")

    monkeypatch.setattr(key_layers, "call", fails)
    text = run(docs, out, "--models", "pocket_a", "pocket_b", "--datasets", "pocket_x", monkeypatch=monkeypatch)
    assert "pocket_a on pocket_x: failed, see terminal.txt" in capsys.readouterr().out
    assert "## `pocket_b` on `pocket_x`" in text and "pocket_a" not in text


def test_the_committed_page_is_that_of_the_committed_tables() -> None:
    docs = topology_page.DOCS
    made = page(docs / "results" / "topology", docs / "figures" / "topology", docs)
    assert (docs / "topology.md").read_text() == made, "python benchmarks/topology_page.py --models"
