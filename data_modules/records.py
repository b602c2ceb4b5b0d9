"""The records every part of the project exchanges: pictures, questions, edits, answers.

Nothing here knows of models or editors. Pictures travel as a path or as bytes together with a hash of
their content, and are decoded once and late by :meth:`ImageRef.open`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

SUITES = ("acc", "loc", "t_gen", "i_gen", "r_gen", "coe_gen", "contrast")
"""The six metrics of the paper (4.1) and the diagnostic ``contrast`` suite, in the order of reports."""

Box = tuple[float, float, float, float]
"""A crop in pixels of the decoded picture: ``(left, top, right, bottom)``."""


_PNG_MODES = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})


class RecordError(ValueError):
    """A record that cannot be used. The message is one line: which record, what is wrong, what to do."""


@dataclass(frozen=True)
class ImageRef:
    """A picture by path or by bytes, with the SHA-256 of its encoded content.

    >>> import io
    >>> buffer = io.BytesIO(); Image.new("RGB", (4, 4), "red").save(buffer, "PNG")
    >>> ImageRef.from_bytes(buffer.getvalue()).open().size
    (4, 4)
    """

    sha: str
    path: str | None = None
    data: bytes | None = field(default=None, repr=False)

    @classmethod
    def from_path(cls, path: str | Path) -> ImageRef:
        """Hash the file at ``path``; the pixels are read when they are needed."""
        try:
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise RecordError(f"image {path}: cannot be read ({error.strerror or error})") from error
        except ValueError as error:  # NUL, or half a surrogate pair
            raise RecordError(f"image {str(path)!r}: no file can be called that; give a path") from error
        return cls(sha=digest, path=str(path))

    @classmethod
    def from_bytes(cls, data: bytes) -> ImageRef:
        """Keep an encoded picture (PNG, JPEG, …) in memory."""
        return cls(sha=hashlib.sha256(data).hexdigest(), data=data)

    @classmethod
    def from_pil(cls, image: Image.Image) -> ImageRef:
        """Keep a decoded picture, turned upright by its EXIF as a file would be, as PNG; as RGB where PNG has no mode.

        Raises:
            RecordError: it has no pixels, or its file is truncated or damaged.
        """
        from data_modules.images import to_rgb, upright

        image = upright(image)
        buffer = io.BytesIO()
        try:
            (image if image.mode in _PNG_MODES else to_rgb(image)).save(buffer, "PNG")
        except (OSError, ValueError, SyntaxError) as error:
            what = f"{image.mode} picture of {image.width}x{image.height}"
            raise RecordError(f"image: a {what} cannot be read ({error}); give its file, or another one") from error
        return cls.from_bytes(buffer.getvalue())

    def open(self) -> Image.Image:
        """Decode to RGB: EXIF rotation applied, transparency on white, 16 bit scaled to 8.

        Raises:
            RecordError: unreadable, truncated or oversized, in one line.
        """
        from data_modules.images import decode

        return decode(self)


@dataclass(frozen=True)
class Question:
    """A multiple-choice question about a picture; ``target`` is the index of the right choice."""

    id: str
    image: ImageRef
    text: str
    choices: tuple[str, ...]
    target: int
    suite: str = "acc"
    edit_id: str | None = None


@dataclass(frozen=True)
class Edit:
    """What a person states about a wrong answer (paper 3.1).

    ``answer`` is one of ``choices``; ``reasoning`` the facts that lead to it, one sentence each;
    ``evidence`` maps the index of a fact to the crops that show it (missing: crops are found).
    """

    id: str
    image: ImageRef
    question: str
    choices: tuple[str, ...]
    answer: str
    reasoning: tuple[str, ...] = ()
    evidence: Mapping[int, tuple[Box, ...]] = field(default_factory=dict)

    @property
    def target(self) -> int:
        """Index of the right answer among the choices."""
        return self.choices.index(self.answer)

    def as_question(self, suite: str = "acc") -> Question:
        """The edited question itself, as asked by the Acc suite."""
        return Question(self.id, self.image, self.question, self.choices, self.target, suite, self.id)


@dataclass(frozen=True)
class Answer:
    """What an editor answers: ``scores`` are log-likelihoods per choice, ``prediction`` their arg-max.

    ``facts`` are the sentences put before the question, ``fact_distances`` for each that of the key it was found by;
    ``distances`` are those of the nearest keys, which may hold several sentences, or the same one; ``accepted`` tells
    whether retrieval was accepted (``None``: this editor retrieves nothing).
    """

    question_id: str
    prediction: int
    scores: tuple[float, ...]
    facts: tuple[str, ...] = ()
    distances: tuple[float, ...] = ()
    accepted: bool | None = None
    threshold: float | None = None
    fact_distances: tuple[float, ...] = ()


@dataclass(frozen=True)
class EditReceipt:
    """What an edit stored or changed: keys added and merged, bytes, seconds, evidence crops per fact."""

    edit_id: str
    keys_added: int = 0
    keys_merged: int = 0
    bytes_added: int = 0
    seconds: float = 0.0
    evidence: Mapping[int, tuple[Box, ...]] = field(default_factory=dict)
    superseded: str | None = None
    notes: tuple[str, ...] = ()
