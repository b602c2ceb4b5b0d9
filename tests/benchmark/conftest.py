"""A real, tiny LLaVA with random weights, and a pool of records on pictures of noise."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data_modules.qa_record import QARecord
from data_modules.records import ImageRef


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[QARecord]:
    """30 records on 20 pictures: ten pictures are asked about twice; ragged choices, an empty reasoning."""
    folder = tmp_path_factory.mktemp("pictures")
    made: list[QARecord] = []
    for place in range(30):
        number = place % 20
        path = folder / f"{number}.png"
        if not path.exists():
            pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        choices = ("red cat", "blue", "a lamp on the sand", "dog")[: 2 + place % 3]
        facts = ("The cat is red.", "The mat is blue.", "A lamp is on the sand.")[: place % 4]
        made.append(
            QARecord(
                f"q{place}", ImageRef.from_path(path), f"What is thing {place}?", choices, choices[place % 2], facts
            )
        )
    return made
