from __future__ import annotations

import pytest

from rv_edit.report import RunResult
from tests.report.synthetic import make_run


@pytest.fixture(scope="session")
def run() -> RunResult:
    return make_run()
