"""A hub id without a network: what the cache holds is loaded, what it lacks is named, with the command that gets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rv_edit.vlm import VLM
from tests.vlm.hub_layouts import llava_of_2025
from tests.vlm.test_checkpoints import load, options, refused

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "llava-hf/llava-1.5-7b-hf"
COMMAND = f"hf download {NAME} --revision main"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the hub may not be asked, as in all tests."""
    from huggingface_hub import constants

    assert constants.HF_HUB_OFFLINE
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def snapshot(cache: Path, build: Callable[[str], Path]) -> Path:
    """The checkpoint as ``hf download`` leaves it there."""
    home = cache / f"models--{NAME.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT)
    (home / "snapshots").mkdir()
    return llava_of_2025(build("llava"), home / "snapshots" / COMMIT)


def named(*more: str) -> VLM:
    """As ``model=llava_1_5_7b`` loads it, nothing overridden."""
    return load("llava_1_5_7b", Path(NAME), *more)


def test_the_configuration_names_the_hub() -> None:
    for config in ("llava_1_5_7b", "instructblip_7b", "qwen3_vl_4b", "qwen3_vl_8b"):
        model = options(config).model
        assert model.vlm.name == model.vlm.hub and model.vlm.name.count("/") == 1
        assert model.text_encoder == "sentence-transformers/paraphrase-mpnet-base-v2"


def test_not_cached(cache: Path) -> None:
    text = refused("llava_1_5_7b", Path(NAME))
    assert f"no config.json of it in the cache {cache}" in text and "HF_HUB_OFFLINE" in text
    assert text.endswith(f"get it with: {COMMAND}")


def test_cached_in_part(snapshot: Path) -> None:
    shard = snapshot / "model-00003-of-00003.safetensors"
    shard.rename(snapshot / "elsewhere")
    text = refused("llava_1_5_7b", Path(NAME))
    assert f"{shard} is missing" in text and text.endswith(f"get it with: {COMMAND}")
    assert "safetensors is missing" in refused("llava_1_5_7b", Path(NAME), f"model.vlm.revision={COMMIT}")
    assert "no config.json of it in the cache" in refused("llava_1_5_7b", Path(NAME), "model.vlm.revision=other")


def test_cached_whole(snapshot: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="rv_edit"):
        vlm = named()
    assert vlm.name == NAME and f"model.vlm.revision={COMMIT}" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO", logger="rv_edit"):
        assert named(f"model.vlm.revision={COMMIT}").fingerprint == vlm.fingerprint
    assert "revision" not in caplog.text
