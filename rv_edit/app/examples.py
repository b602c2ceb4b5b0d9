"""Questions to try on the page: a folder of edits of one's own (``docs/data.md``), maybe with ``rephrasings``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_modules.own_edits import read_own
from data_modules.records import ImageRef, RecordError
from rv_edit.api.loading import ANY_MODEL
from rv_edit.composing import compose_parts
from rv_edit.errors import ConfigError
from rv_edit.vlm import resolve_checkpoint

MOST = 24
"""Examples that the page offers; more would be a catalogue."""


@dataclass(frozen=True)
class Example:
    """A question to try, and what a person would say to a wrong answer."""

    id: str
    image: ImageRef
    question: str
    choices: tuple[str, ...]
    answer: str
    reasoning: tuple[str, ...]
    rephrasings: tuple[str, ...]


def read_examples(place: str | None) -> tuple[Example, ...]:
    """The first :data:`MOST` examples of a folder or a ``package://`` address; none where there is no place.

    Raises:
        ConfigError: it cannot be read.
    """
    if place is None:
        return ()
    try:
        records = read_own(resolve_checkpoint(place), check_images=True)[:MOST]
    except RecordError as error:
        raise ConfigError(f"examples={place}: {error}") from error
    return tuple(
        Example(
            one.id,
            ImageRef.from_bytes(one.image.data or _read(one.image.path)),
            one.question,
            one.choices,
            one.answer,
            one.reasoning,
            tuple(text for text in one.extras.get("rephrasings", ()) if isinstance(text, str)),
        )
        for one in records
    )


def place_of_examples(given: str | None, option: str) -> str | None:
    """Where examples are: where the service's options say, else where those of ``conf/model/<option>.yaml`` do."""
    if given is not None or option == ANY_MODEL:
        return given
    found = compose_parts([f"model={option}"], ("model",))["model"].get("examples")
    return None if found is None else str(found)


def _read(path: str | None) -> bytes:
    return Path(path or "").read_bytes()
