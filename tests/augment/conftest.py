from __future__ import annotations

from pathlib import Path

import pytest

from rv_edit.embedding import TextEncoder
from rv_edit.vlm import VLM, load_vlm
from tests.embedding.tiny_encoder import build_encoder
from tests.vlm.tiny_llava import build


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def encoder(encoder_folder: Path) -> TextEncoder:
    return TextEncoder(encoder_folder, batch_size=4)


@pytest.fixture(scope="session")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> VLM:
    return load_vlm(str(build(tmp_path_factory.mktemp("llava"))))
