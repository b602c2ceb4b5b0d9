"""The shipped model under the load of many clients, with an edit every second: ``benchmarks/service_load.py``."""

from __future__ import annotations

import pytest

from benchmarks.service_load import measure

pytestmark = pytest.mark.soak

SLOWER = 3.0
"""How much longer an answer may take while edits are made, at the 95th percentile."""
A_CORE = 0.5
"""What the service must have had of a core for latencies to say anything of it rather than of its neighbours."""


def test_edits_under_load() -> None:
    found = measure(seconds=60, clients=32, share=0.7)
    edits = found["edits"]
    assert found["without edits"]["errors"] == found["with edits"]["errors"] == edits["errors"] == []
    assert edits["lost"] == [] and edits["listed"] == edits["acknowledged"] > 0
    print(found)
    busy = found["without edits"]["cores busy"]
    if busy < A_CORE:
        pytest.skip(f"needs a core to itself: the service had {busy:.2f} of one")
    assert found["p95 ratio"] <= SLOWER, found
