"""Options that make a benchmark tiny."""

from __future__ import annotations

import pytest

from tests.run import tiny_options as tiny


@pytest.fixture(scope="session")
def tiny_options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A tiny model, encoder and data set with a rewording, as ``run.py`` takes them."""
    options = tiny.tiny_options(tmp_path_factory.mktemp("tiny"))
    return [*options, "dataset.rewording=tests.run.tiny_data.reword"]
