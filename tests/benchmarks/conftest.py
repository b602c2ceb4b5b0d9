"""Options that make a benchmark tiny."""

from __future__ import annotations

import pytest

from rv_edit.embedding import KeySpace
from tests.embedding.tiny_encoder import build_encoder
from tests.vlm.tiny_llava import build


@pytest.fixture(scope="session")
def tiny_options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A tiny model, encoder and data set, as ``run.py`` takes them."""
    folder = tmp_path_factory.mktemp("tiny")
    space = KeySpace(layer=1, lam=1.0, vision_norm=1.0, text_norm=1.0).save(folder / "key_space.json")
    return [
        f"model.vlm.name={build(folder / 'llava')}",
        f"model.text_encoder={build_encoder(folder)}",
        f"model.key_space={space}",
        "dataset.source._target_=tests.run.tiny_data.load",
        "dataset.rewording=tests.run.tiny_data.reword",
        "dataset.sample=4",
        f"cache={folder / 'cache'}",
    ]
