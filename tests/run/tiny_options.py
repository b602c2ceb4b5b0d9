"""What makes any command tiny: a model, an encoder and a key space of some kilobytes, and a data set of noise."""

from __future__ import annotations

from pathlib import Path

from rv_edit.embedding import KeySpace
from tests.embedding.tiny_encoder import build_encoder
from tests.vlm.tiny_llava import build


def tiny_options(folder: Path) -> list[str]:
    """Options as ``run.py`` takes them; model, encoder and cache lie in ``folder``."""
    space = KeySpace(layer=1, lam=1.0, vision_norm=1.0, text_norm=1.0).save(folder / "key_space.json")
    return [
        f"model.vlm.name={build(folder / 'llava')}",
        f"model.text_encoder={build_encoder(folder)}",
        f"model.key_space={space}",
        "dataset.source._target_=tests.run.tiny_data.load",
        "dataset.sample=4",
        f"cache={folder / 'cache'}",
    ]
