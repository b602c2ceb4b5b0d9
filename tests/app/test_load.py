"""The shipped model under the load of many clients, with an edit every second: ``benchmarks/service_load.py``."""

from __future__ import annotations

import pytest

from benchmarks.service_load import measure

pytestmark = pytest.mark.soak


def test_edits_under_load() -> None:
    """Nothing fails and nothing is lost; latencies are the benchmark's to tell, on a machine of its own."""
    found = measure(seconds=60, clients=32, share=0.7)
    edits = found["edits"]
    assert found["without edits"]["errors"] == found["with edits"]["errors"] == edits["errors"] == []
    assert edits["lost"] == [] and edits["listed"] == edits["acknowledged"] > 0
