"""What every data source returns: its records, who can make the suites, and how the reading went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DataBundle:
    """A data set as an edit run takes it.

    ``records`` are ``QARecord``; ``provider`` makes the suites that need more than the records (rephrased
    questions, new pictures, rationale questions), ``None`` where there is no such source: then only ``acc``
    and ``loc`` are asked. ``report`` says what was read and what was skipped and why. ``name`` goes into
    results.
    """

    records: Sequence[Any]
    provider: Any | None
    report: Any | None
    name: str
