"""A tiny LLaVA, a tiny sentence encoder, and edits on coloured pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_modules.records import Edit, ImageRef, Question
from rv_edit.augment import ImageAugmenter, RadiusEstimator
from rv_edit.codebook import Codebook
from rv_edit.editors.answering import Asking
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.embedding import DualEmbedding, KeySpace, TextEncoder
from rv_edit.evidence import EvidenceSelector
from rv_edit.vlm import VLM

COLOURS = ("red", "green", "blue", "yellow")


def picture(seed: int) -> ImageRef:
    """Noise in a colour of its own, so that features differ."""
    generator = np.random.default_rng(seed)
    base = generator.integers(0, 256, (4, 4, 3)).repeat(9, axis=0).repeat(9, axis=1)
    return ImageRef.from_pil(Image.fromarray(base.astype(np.uint8)))


def make_edit(index: int, facts: int = 2) -> Edit:
    """Edit ``index``: its own picture, question, answer and facts."""
    answer = COLOURS[index % 4]
    reasoning = tuple(f"Fact {turn} of lamp {index} is {COLOURS[(index + turn) % 4]}." for turn in range(facts))
    return Edit(f"edit{index}", picture(index), f"What colour is lamp {index}?", COLOURS, answer, reasoning)


def question(index: int, image: int | None = None, suite: str = "loc") -> Question:
    """A question on a picture that no edit has, unless told."""
    place = 1000 + index if image is None else image
    return Question(f"q{index}", picture(place), f"How many dogs has cat {index}?", ("two", "three", "four"), 0, suite)


@pytest.fixture(scope="session")
def embedding(vlm: VLM, encoder_folder: Path) -> DualEmbedding:
    return DualEmbedding(vlm, TextEncoder(encoder_folder), KeySpace(layer=1, lam=1.0, vision_norm=1.0, text_norm=1.0))


@pytest.fixture
def make_editor(vlm: VLM, embedding: DualEmbedding) -> Callable[..., ReasonEdit]:
    def make(gate: str = "none", merge: str = "off", **options: object) -> ReasonEdit:
        book = Codebook(embedding.dim, embedding.fingerprint, gate=gate, merge=merge)
        radii = RadiusEstimator(embedding, ImageAugmenter(), variants=2)
        asking = Asking(batch_size=4, image_batch_size=3)
        return ReasonEdit(embedding, book, radii, EvidenceSelector(vlm, grid=2), asking=asking, **options)  # type: ignore[arg-type]

    return make
