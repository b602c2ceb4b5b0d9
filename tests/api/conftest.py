"""A tiny LLaVA through ``from_pretrained``, and people who edit it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rv_edit import EditedVLM
from rv_edit.embedding import KeySpace

COLOURS = ("red", "green", "blue", "yellow")


def tiny_overrides(encoder: Path, folder: Path) -> list[str]:
    """Options that make a tiny checkpoint and its encoder one editor."""
    space = KeySpace(layer=1, lam=1.0, vision_norm=1.0, text_norm=1.0).save(folder / "key_space.json")
    return [
        "model.vlm.dtype=float32",
        f"model.text_encoder={encoder}",
        f"model.key_space={space}",
        "editor.evidence.grid=2",
        "editor.augment.variants=2",
        "editor.codebook.gate=none",
    ]


@pytest.fixture(scope="session")
def tiny(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return tiny_overrides(encoder_folder, tmp_path_factory.mktemp("space"))


@pytest.fixture(scope="session")
def loaded(vlm_folder: Path, tiny: list[str]) -> EditedVLM:
    """Loaded once; nobody edits this one."""
    return EditedVLM.from_pretrained(vlm_folder, overrides=tiny)


@pytest.fixture
def fresh(loaded: EditedVLM) -> Callable[[], EditedVLM]:
    """The same model without edits, as often as wanted: a state is never changed, so it can be shared."""
    return lambda: EditedVLM(loaded.state, loaded.base)


def say(vlm: EditedVLM, index: int, answer: str | None = None, **options: object) -> str:
    """Edit ``index``: its own picture, question and facts. Returns its id."""
    from tests.editors.conftest import picture

    said = answer or COLOURS[index % 4]
    facts = [f"Lamp {index} is a lamp.", f"Lamp {index} is {said}."]
    crops = {0: [(0, 0, 18, 18)], 1: [(18, 0, 36, 36)]}
    receipt = vlm.edit(picture(index), f"What colour is lamp {index}?", said, facts, crops, **options)  # type: ignore[arg-type]
    return receipt.edit_id
