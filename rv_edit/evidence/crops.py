"""Crops that a user gives: checked against the picture, and cut out of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image

from data_modules.records import Box, RecordError


def check_crops(
    evidence: Mapping[int, Sequence[Box]],
    facts: Sequence[str],
    size: tuple[int, int],
    edit_id: str,
) -> dict[int, tuple[Box, ...]]:
    """The user's crops per fact, rounded outwards to whole pixels; facts without any are left out.

    Args:
        evidence: index of a fact -> its crops ``(left, top, right, bottom)`` in pixels.
        facts: of the edit.
        size: width and height of the decoded picture.
        edit_id: for the message.

    Raises:
        RecordError: a crop is not four finite numbers, is empty, or reaches outside the picture, or there is no such
            fact. The message names edit, fact and crop.
    """
    checked: dict[int, tuple[Box, ...]] = {}
    for index, crops in evidence.items():
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(facts):
            raise RecordError(
                f"edit {edit_id}: crops for fact {index!r}, but there are {len(facts)} facts, counted from 0; "
                "give the index of one"
            )
        boxes = tuple(_check(crop, size, f"edit {edit_id}, fact {index} ({short(facts[index])})") for crop in crops)
        if boxes:
            checked[index] = tuple(dict.fromkeys(boxes))
    return checked


def cut(image: Image.Image, box: Box) -> Image.Image:
    """The part of ``image`` under a box of whole pixels, as RGB."""
    return image.convert("RGB").crop((int(box[0]), int(box[1]), int(box[2]), int(box[3])))


def _check(crop: Box, size: tuple[int, int], where: str) -> Box:
    try:
        left, top, right, bottom = (float(value) for value in crop)
    except (TypeError, ValueError):
        raise RecordError(f"{where}: crop {crop!r} is not four numbers; give left, top, right, bottom") from None
    shown = f"({left:g}, {top:g}, {right:g}, {bottom:g})"
    if not all(math.isfinite(value) for value in (left, top, right, bottom)):
        raise RecordError(f"{where}: crop {shown} has numbers that are not finite; give left, top, right, bottom")
    if left >= right or top >= bottom:
        raise RecordError(f"{where}: crop {shown} is empty; give left < right and top < bottom")
    if left < 0 or top < 0 or right > size[0] or bottom > size[1]:
        raise RecordError(f"{where}: crop {shown} reaches outside the image of {size[0]}×{size[1]}; keep it inside")
    return (math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))


def short(fact: str, length: int = 60) -> str:
    """A fact on one line, cut to ``length``."""
    line = " ".join(fact.split())
    return line if len(line) <= length else line[: length - 1] + "…"
