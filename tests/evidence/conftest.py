from __future__ import annotations

import pytest

from rv_edit.vlm import VLM, load_vlm
from tests.vlm.tiny_llava import build


@pytest.fixture(scope="session")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> VLM:
    return load_vlm(str(build(tmp_path_factory.mktemp("llava"))))
