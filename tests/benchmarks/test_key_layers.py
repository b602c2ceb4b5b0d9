"""The kinds of keys of the paper's Fig. 5a, as a topology run's tables name them."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.key_layers import kinds


def test_kinds_come_from_the_tables_of_a_run(tmp_path: Path) -> None:
    curves = [{"lam": lam, "bimodal_modularity_mean": score} for lam, score in ((0.5, 0.1), (2.0, 0.3), (8.0, 0.2))]
    artefact = {"layer": 2, "lam": 0.5, "pooling": "mean", "curves": {"balance": curves}}
    (tmp_path / "key_space.json").write_text(json.dumps(artefact))
    rows = ["block,index,pooling,vision_modularity_mean,language_modularity_mean"]
    rows += ["vision,0,mean,0.1,0.9", "vision,3,last,0.4,0.0", "language,0,mean,0.9,0.2", "language,5,last,0.0,0.3"]
    (tmp_path / "layers.csv").write_text("\n".join(rows) + "\n")
    assert kinds(tmp_path) == {
        "dual: vision layer 2, λ = 0.5": ("dual", str(tmp_path / "key_space.json")),
        "dual, λ of greatest $Q_B$: 2": ("bimodal", "{block:vision,layer:2,lam:2.0,pooling:mean,pairs:256}"),
        "best vision layer: 3, last": ("vision", "{block:vision,layer:3,lam:0.0,pooling:last,pairs:256}"),
        "best language layer: 5, last": ("language", "{block:language,layer:5,lam:0.0,pooling:last,pairs:256}"),
    }
