"""The paper's Table 1, as it stands there: ``paper.csv`` beside this file."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from types import MappingProxyType

from rv_edit.report.comparison.figures import Figure, exactly

SUITES = ("acc", "t_gen", "i_gen", "coe_gen", "r_gen", "loc")
"""The table's columns for each model, in its order."""
FILE = Path(__file__).with_name("paper.csv")

Column = MappingProxyType[str, MappingProxyType[str, Figure]]
"""Editor, as the paper calls it -> suite -> figure."""


@cache
def paper_table() -> MappingProxyType[tuple[str, str], Column]:
    """(model, data set), as the paper calls them -> :data:`Column`."""
    found: dict[tuple[str, str], dict[str, MappingProxyType[str, Figure]]] = {}
    with FILE.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            figures = MappingProxyType({suite: exactly(float(row[suite])) for suite in SUITES})
            found.setdefault((row["model"], row["dataset"]), {})[row["editor"]] = figures
    return MappingProxyType({place: MappingProxyType(column) for place, column in found.items()})


def paper_column(model: str | None, dataset: str | None) -> Column:
    """The paper's figures of a model on a data set; empty where it has none."""
    empty: Column = MappingProxyType({})
    return empty if model is None or dataset is None else paper_table().get((model, dataset), empty)
