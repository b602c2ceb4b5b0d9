"""FVQA's facts as sentences: marked ones, bare triples, and the file of triples for records that only name one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from data_modules.reading import load_json
from data_modules.records import RecordError
from data_modules.text import as_sentence, clean_text

RELEASED = "all_fact_triples_release.json"
_MARK = re.compile(r"\[\[(.*?)\]\]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
VERBS = {
    "AtLocation": "can be found at",
    "CapableOf": "can",
    "CreatedBy": "is created by",
    "Desires": "desires",
    "HasA": "has",
    "HasProperty": "is",
    "IsA": "is a kind of",
    "PartOf": "is part of",
    "ReceivesAction": "can be",
    "RelatedTo": "is related to",
    "UsedFor": "is used for",
    "transnbhd": "belongs to the category of",
}
"""How a bare triple's relation reads; one that is not listed is read out word by word."""


def fact_sentence(surface: str) -> str:
    """A fact as a sentence: marks stripped, a bare triple put into words.

    Raises:
        RecordError: neither a sentence nor a triple.

    >>> fact_sentence("You are likely to find [[a trumpet]] in [[a jazz club]]")
    'You are likely to find a trumpet in a jazz club.'
    >>> fact_sentence("(glove,/r/UsedFor,covering hands)")
    'Glove is used for covering hands.'
    """
    text = clean_text(surface).lstrip("* ")
    if text.startswith("(") and "[[" not in text:
        # Some triples name their knowledge base behind the bracket; objects may hold commas of their own.
        parts = text[1:].rsplit(")", 1)[0].split(",", 2)
        if len(parts) < 3 or not all(part.strip() for part in parts):
            raise RecordError(f"fact {surface[:60]!r} is neither a sentence nor a triple")
        return triple_sentence(*(part.strip() for part in parts))
    return as_sentence(_MARK.sub(r"\1", text))


def triple_sentence(subject: str, relation: str, value: str) -> str:
    """A triple in words; ``relation`` may be a raw id such as ``/r/AtLocation``."""
    name = relation.rsplit("/", 1)[-1]
    return as_sentence(f"{subject} {VERBS.get(name) or _CAMEL.sub(' ', name).lower()} {value}")


class TriplesFile:
    """The release's facts by id, read when the first one is asked for: its questions state their facts themselves.

    Args:
        folder: where a file lies whose name speaks of triples; copies of the release name it differently.
    """

    def __init__(self, folder: Path) -> None:
        named = sorted(path for path in folder.glob("*.json") if "triple" in path.name.casefold())
        named.sort(key=lambda path: path.name != RELEASED)
        self.path = named[0] if named else None
        self._facts: dict[str, Any] | None = None

    def surface(self, fact: str) -> str | None:
        """What ``fact_surface`` would say of a fact; ``None`` where the file is missing or does not know it.

        Raises:
            RecordError: the file is not JSON.
        """
        if self._facts is None:
            found = {} if self.path is None else load_json(self.path)
            self._facts = found if isinstance(found, dict) else {}
        entry = self._facts.get(fact)
        if not isinstance(entry, dict):
            return None
        if isinstance(entry.get("surface"), str) and clean_text(entry["surface"]):
            return str(entry["surface"])
        parts = [entry.get("e1_label") or entry.get("e1"), entry.get("r"), entry.get("e2_label") or entry.get("e2")]
        return f"({','.join(map(str, parts))})" if all(parts) else None
