"""Questions, facts and pictures of a real data set's sizes, made up: no photo is shipped."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from data_modules.qa_record import QARecord
from data_modules.records import ImageRef

SIZES = ((640, 480), (640, 427), (480, 640), (500, 375))
"""Width and height of pictures, as COCO's are."""
THINGS = (
    "umbrella",
    "bicycle",
    "kettle",
    "ladder",
    "parrot",
    "guitar",
    "bench",
    "tractor",
    "lantern",
    "statue",
    "barrel",
    "helmet",
    "piano",
    "candle",
)
PLACES = ("left", "right", "top", "bottom", "middle", "edge", "corner", "front")
COLOURS = ("red", "green", "blue", "yellow", "brown", "white", "black", "grey")
USES = (
    "cooking",
    "shelter",
    "transport",
    "music",
    "light",
    "storage",
    "sport",
    "decoration",
    "safety",
    "farming",
    "reading",
    "rest",
)


def picture(number: int, size: tuple[int, int]) -> ImageRef:
    """A JPEG of gradients under noise, about as large as a photo of its size."""
    rng = np.random.default_rng(number)
    width, height = size
    across, down = np.linspace(0, 1, width)[None, :, None], np.linspace(0, 1, height)[:, None, None]
    colours = rng.uniform(0, 255, (3, 3))
    smooth = colours[0] * across + colours[1] * down + colours[2] * across * down
    noise = rng.normal(0, 18, (height // 4 + 1, width // 4 + 1, 3)).repeat(4, axis=0).repeat(4, axis=1)
    pixels = np.clip(smooth + noise[:height, :width], 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return ImageRef.from_bytes(buffer.getvalue())


def record(number: int, facts: int = 3, sizes: tuple[tuple[int, int], ...] = SIZES) -> QARecord:
    """A question with four answers and ``facts`` sentences, none of them like another record's."""
    rng = np.random.default_rng(10_000 + number)

    def draw(words: tuple[str, ...], count: int = 1) -> list[str]:
        return [words[place] for place in rng.choice(len(words), count, replace=False)]

    (thing, other), (place,), (colour,) = draw(THINGS, 2), draw(PLACES), draw(COLOURS)
    uses = [f"{use} number {number}" for use in draw(USES, 4)]
    question = f"What is the {colour} {thing} near the {other} at the {place} of picture {number} used for?"
    reasoning = tuple(
        f"The {colour} {thing} {turn} near the {other} in picture {number} is mostly used for {uses[turn % 4]}."
        for turn in range(facts)
    )
    return QARecord(
        f"r{number}", picture(number, sizes[number % len(sizes)]), question, tuple(uses), uses[0], reasoning
    )
