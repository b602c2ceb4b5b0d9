"""What is asked of those who write texts and make pictures, and how they answer, fail or refuse.

A request carries everything that its answer may depend on, the seed included, so that an answer can be kept under
it and never paid for twice. Providers keep no state between requests.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from data_modules.qa_record import QARecord
from data_modules.records import Edit

if TYPE_CHECKING:
    from PIL import Image


class ProviderError(ValueError):
    """A provider that cannot go on: a refused key, a service that stays down. One line; it stops the build."""


class UnusableError(Exception):
    """An answer that cannot be used. It counts as an attempt.

    Args:
        reason: a short, fixed text, by which such answers are counted.
        final: another attempt would give the same.
    """

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


class StoppedError(Exception):
    """Another part of the build has failed, so that this one need not go on."""


@dataclass(frozen=True)
class Subject:
    """What an item is about, for a provider that knows the world itself and needs no prompt.

    ``facts`` are indices into the edit's reasoning: a subset of R-Gen, the chain of CoE-Gen, or all of them.
    """

    edit: Edit
    record: QARecord = field(repr=False)
    facts: tuple[int, ...] = ()

    def sentences(self) -> str:
        """The facts as one text."""
        return " ".join(self.edit.reasoning[index] for index in self.facts)


@dataclass(frozen=True)
class TextRequest:
    """A text to be written.

    Attributes:
        item: whose, e.g. ``q17/t_gen``.
        suite: ``t_gen``, ``r_gen`` or ``coe_gen``.
        prompt: what a language model is told.
        seed: of the sampling; it differs by item and attempt.
        subject: see :class:`Subject`.
    """

    item: str
    suite: str
    prompt: str
    seed: int
    subject: Subject = field(repr=False, compare=False)


@dataclass(frozen=True)
class TextReply:
    """A text as it came, the tokens it cost (where known) and what else identifies its making."""

    text: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    served_by: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageRequest:
    """A picture to be made; the fields are those of :class:`TextRequest`. ``index`` tells siblings apart."""

    item: str
    suite: str
    prompt: str
    seed: int
    index: int
    subject: Subject = field(repr=False, compare=False)


class TextProvider(Protocol):
    """Writes texts.

    Attributes:
        concurrency: requests it takes at the same time, from as many threads.
        runs_here: whether a model on this machine writes, whose hours an estimate counts.
    """

    concurrency: int
    runs_here: bool

    @property
    def about(self) -> Mapping[str, Any]:
        """What its texts depend on besides the request: kind, model, settings. Part of keys and provenance."""
        ...

    def refuses(self, record: QARecord) -> str | None:
        """Why it cannot write about a data set with such records; ``None``: it can."""
        ...

    def load(self) -> None:
        """Load what is needed, unless it is there; what a text takes is measured without it.

        Raises:
            ConfigError: it cannot be loaded.
        """
        ...

    def ask(self, request: TextRequest, stop: threading.Event) -> TextReply:
        """Write one text.

        Raises:
            UnusableError: this answer cannot be used; another attempt may give a better one.
            ProviderError: no answer can be had any more.
            StoppedError: ``stop`` was set while waiting.
        """
        ...

    def release(self) -> None:
        """Free the memory that a model takes; the next request loads it again."""
        ...


class ImageProvider(Protocol):
    """Makes pictures.

    Attributes:
        batch_size: pictures it makes at once.
        seconds_per_image: as the user measured it, for estimates; ``None``: not known.
    """

    batch_size: int
    seconds_per_image: float | None

    @property
    def about(self) -> Mapping[str, Any]:
        """As for :class:`TextProvider`."""
        ...

    def refuses(self, record: QARecord) -> str | None:
        """Why it cannot make pictures for a data set with such records; ``None``: it can."""
        ...

    def load(self) -> None:
        """Load what is needed, unless it is there.

        Raises:
            ConfigError: it cannot be loaded.
        """
        ...

    def paint(self, requests: Sequence[ImageRequest]) -> list[Image.Image | UnusableError]:
        """A picture for each request, or why there is none.

        Raises:
            ConfigError: the model cannot be loaded, refuses its arguments or does not fit into memory.
        """
        ...

    def release(self) -> None:
        """Free the memory that a model takes; the next request loads it again."""
        ...


class Checker(Protocol):
    """Says whether a picture shows what it should; ``about`` is as for :class:`TextProvider`."""

    @property
    def about(self) -> Mapping[str, Any]:
        """As for :class:`TextProvider`."""
        ...

    def load(self) -> None:
        """As for :class:`TextProvider`."""
        ...

    def shows(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """The probability that each picture shows its text; not-a-number: the text is too long to be asked."""
        ...

    def release(self) -> None:
        """Free the memory that a model takes; the next request loads it again."""
        ...
