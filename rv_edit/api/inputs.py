"""What people hand over as pictures and questions, made into records: one or many, paired up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from PIL import Image

from data_modules.records import Box, ImageRef, Question, RecordError
from data_modules.text import clean_text

Picture = str | Path | bytes | Image.Image | ImageRef
"""A file, an encoded picture, a decoded one, or a reference."""

Choices = Sequence[str] | Sequence[Sequence[str]] | None


def as_image(image: Picture) -> ImageRef:
    """A picture as a record; files are hashed now and decoded later.

    Raises:
        RecordError: unreadable, or an address: nothing is fetched from a network here.
    """
    if isinstance(image, ImageRef):
        return image
    if isinstance(image, Image.Image):
        return ImageRef.from_pil(image)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return ImageRef.from_bytes(bytes(image))
    if isinstance(image, str) and image.startswith("data:"):
        raise RecordError("image data:…: addresses are not read; give the picture's bytes, base64.b64decode(…)")
    if isinstance(image, str) and "://" in image:
        raise RecordError(f"image {image[:80]}: addresses are not fetched; download it and give the file or its bytes")
    if isinstance(image, (str, Path)):
        return ImageRef.from_path(image)
    raise RecordError(f"image of type {type(image).__name__}: give a path, bytes or a PIL picture")


def as_text(text: Any, what: str) -> str:
    """A question, an answer or a fact: cleaned as the data sets are.

    Raises:
        RecordError: not text, or nothing but blanks.
    """
    if not isinstance(text, str) or not clean_text(text):
        raise RecordError(f"{what}: {text!r}; give some text")
    return clean_text(text)


def as_author(author: Any) -> str:
    """Who says something: cleaned as other text is; blank where nobody says who.

    Raises:
        RecordError: not text.
    """
    if not isinstance(author, str):
        raise RecordError(f"author: {author!r}; give a name, or leave it out")
    return clean_text(author)


def as_facts(reasoning: str | Sequence[str]) -> tuple[str, ...]:
    """Facts, one sentence each; a single string is one fact.

    Raises:
        RecordError: a fact that is no text.
    """
    facts = [reasoning] if isinstance(reasoning, str) else _listed(reasoning, "reasoning")
    return tuple(as_text(fact, f"fact {number}") for number, fact in enumerate(facts))


def as_evidence(evidence: Mapping[int, Sequence[Box]] | None) -> dict[int, tuple[Box, ...]]:
    """Crops by fact; ``{0: (l, t, r, b)}`` is taken as one crop. Whether they fit the picture is checked later.

    Raises:
        RecordError: not a mapping of whole numbers to crops.
    """
    found: dict[int, tuple[Box, ...]] = {}
    if not isinstance(evidence or {}, Mapping):
        raise RecordError("evidence: give a mapping of the index of a fact to its crops (left, top, right, bottom)")
    for fact, crops in (evidence or {}).items():
        if isinstance(fact, bool) or not isinstance(fact, Integral):  # numpy's numbers too
            raise RecordError(f"evidence of fact {fact!r}: give the index of a fact, counted from 0")
        try:
            rows: Any = [crops] if len(crops) == 4 and all(isinstance(side, Real) for side in crops) else crops
            sides = [[float(side) for side in crop] for crop in rows]
            found[int(fact)] = tuple((left, top, right, bottom) for left, top, right, bottom in sides)
        except (TypeError, ValueError):
            raise RecordError(f"evidence of fact {fact!r}: {crops!r}; give crops (left, top, right, bottom)") from None
    return found


def as_questions(
    image: Picture | Sequence[Picture], question: str | Sequence[str], choices: Choices
) -> tuple[list[Question], bool]:
    """Pair pictures with questions; a single one of either goes with all of the other.

    Returns:
        the questions, and whether a list was asked for. Questions to be answered freely have no choices.

    Raises:
        RecordError: lists of different lengths, a blank question, or no choice to choose from.
    """
    pictures = list(image) if isinstance(image, (list, tuple)) else None
    texts = None if isinstance(question, str) else _listed(question, "question")
    many = pictures is not None or texts is not None
    lengths = {len(part) for part in (pictures, texts) if part is not None}
    if len(lengths) > 1:
        raise RecordError(f"{len(pictures or ())} pictures and {len(texts or ())} questions; give as many of each")
    count = lengths.pop() if lengths else 1
    # A picture that goes with all questions is read and hashed once.
    images = [as_image(one) for one in pictures] if pictures is not None else [as_image(image)] * count  # type: ignore[arg-type]
    asked = texts if texts is not None else [question] * count
    offered = _offered(choices, count)
    return [
        Question(f"q{place}", picture, as_text(text, f"question {place}"), options, 0)
        for place, (picture, text, options) in enumerate(zip(images, asked, offered, strict=True))
    ], many


def content_id(
    image: ImageRef, question: str, answer: str, facts: Sequence[str], evidence: Mapping[int, Sequence[Box]]
) -> str:
    """A name made of what an edit states: the same edit twice is the same edit."""
    crops = {str(fact): [list(map(float, box)) for box in boxes] for fact, boxes in sorted(evidence.items())}
    text = json.dumps([image.sha, question, answer, list(facts), crops], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _offered(choices: Choices, count: int) -> list[tuple[str, ...]]:
    if choices is None:
        return [()] * count
    listed = _listed(choices, "choices")
    if isinstance(choices, str) or not listed:
        raise RecordError(f"choices: {choices!r}; give a list of at least one answer, or leave it out")
    if all(isinstance(choice, str) for choice in listed):
        return [tuple(as_text(choice, "choices") for choice in listed)] * count
    if len(listed) != count:
        raise RecordError(f"{len(listed)} lists of choices for {count} questions; give one for each, or one for all")
    return [_offered(options, 1)[0] if options else () for options in listed]


def _listed(values: Any, what: str) -> list[Any]:
    """``values`` as a list; raises RecordError where they are none."""
    try:
        return list(values)
    except TypeError:
        raise RecordError(f"{what}: {values!r}; give text, or a list of texts") from None
