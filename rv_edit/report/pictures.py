"""Pictures and evidence crops as a page without a network shows them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from data_modules.records import Box, ImageRef, RecordError

FACT_COLOURS = 6
"""Facts beyond this many start over with the first colour; their labels go on counting."""


@dataclass(frozen=True)
class Picture:
    """An embedded picture; ``width`` and ``height`` are those of the decoded original, in whose pixels crops are."""

    source: str
    width: int
    height: int

    @property
    def small(self) -> bool:
        """Whether the picture is shown enlarged, with its pixels kept sharp."""
        return max(self.width, self.height) <= 128


@dataclass(frozen=True)
class Crop:
    """An evidence crop as drawn: in pixels of the original; ``shift`` moves the label off those at the same corner."""

    left: float
    top: float
    width: float
    height: float
    label: str
    colour: int
    shift: int


def embed(ref: ImageRef, longest: int, quality: int) -> Picture | None:
    """Encode a picture into a ``data:`` address; ``None`` where it cannot be decoded.

    Small ones become PNG, larger ones JPEG of at most ``longest`` pixels a side.

    Args:
        ref: the picture.
        longest: pixels of the longer side at most.
        quality: of the JPEG, 1 to 95.
    """
    try:
        image = ref.open()
    except RecordError:
        return None
    width, height = image.size
    buffer = io.BytesIO()
    if max(width, height) <= 2 * 128:
        image.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        if max(width, height) > longest:
            image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        kind = "jpeg"
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(f"data:image/{kind};base64,{data}", width, height)


def fact_label(index: int) -> str:
    """What a fact is called on the page and on its crops: ``F1`` for the first."""
    return f"F{index + 1}"


def crops_of(evidence: Mapping[int, Sequence[Box]]) -> list[Crop]:
    """The crops of an edit in the order of their facts; equal corners get labels beside each other."""
    drawn: list[Crop] = []
    corners: dict[tuple[float, float], int] = {}
    for index in sorted(evidence):
        for left, top, right, bottom in evidence[index]:
            shift = corners.get((left, top), 0)
            corners[(left, top)] = shift + 1
            drawn.append(Crop(left, top, right - left, bottom - top, fact_label(index), index % FACT_COLOURS, shift))
    return drawn
