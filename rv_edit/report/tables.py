"""Rows as CSV, for whoever draws or counts elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any, TextIO


def write_csv(rows: Sequence[Mapping[str, Any]], stream: TextIO) -> None:
    """Rows with the same fields, an empty cell where there is nothing."""
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
