"""What goes into a codebook and what comes out: entries, reports of insertion, results of retrieval."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from data_modules.records import RecordError

Kind = Literal["answer", "reasoning"]
KINDS: dict[str, Kind] = {"answer": "answer", "reasoning": "reasoning"}


def normal_form(text: str) -> str:
    """What two sentences or questions share that say the same: NFKC, case and blanks aside, no final mark.

    >>> normal_form("  What is  the Cat's colour ?") == normal_form("what is the cat's COLOUR")
    True
    >>> normal_form("?!")
    '?!'
    """
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.rstrip(".?! ") or folded


@dataclass(frozen=True)
class Entry:
    """One sentence with the key that leads to it, as the stream of edits holds it (the cold sidecar).

    Attributes:
        edit_id: the edit it belongs to.
        number: its place within the edit, from 0.
        kind: ``answer`` or ``reasoning``.
        text: the sentence.
        provenance: where it comes from, JSON values. ``image`` (content hash), ``question`` and ``answer`` are
            read: an answer entry supersedes an earlier one with the same image and question.
    """

    edit_id: str
    number: int
    kind: Kind
    text: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """``edit#number``; a key goes by the id of the entry that founded it."""
        return f"{self.edit_id}#{self.number}"

    @cached_property
    def normal(self) -> str:
        """The sentence as compared with others."""
        return normal_form(self.text)

    @cached_property
    def question(self) -> str | None:
        """The question an answer entry answers, as compared with others; ``None``: not known."""
        question = self.provenance.get("question")
        return normal_form(str(question)) if self.kind == "answer" and question is not None else None

    @cached_property
    def subject(self) -> tuple[str, str] | None:
        """(image, question) of an answer entry; ``None`` where either is not known."""
        image = self.provenance.get("image")
        return (str(image), self.question) if self.question is not None and image is not None else None

    @cached_property
    def answer(self) -> str:
        """The answer as compared with others; the whole sentence where it is not stated apart."""
        return normal_form(str(self.provenance.get("answer", self.text)))


@dataclass(frozen=True)
class Superseded:
    """An answer sentence that no longer holds, and the edit it came from."""

    edit_id: str
    text: str


@dataclass(frozen=True)
class InsertReport:
    """What an insertion did.

    Attributes:
        added: entries that became keys of their own.
        merged: entries that joined a key, by the condition that held: ``by_overlap`` alone, ``by_closeness``
            alone, ``by_both``.
        full: entries that a nearer key had no room for.
        superseded: answer sentences of earlier edits that went out of force.
        key_ids: the key of each entry, in order.
        bytes_added: growth of :attr:`Codebook.nbytes`; negative where a superseded key went.
    """

    edit_id: str
    added: int
    merged: int
    by_overlap: int
    by_closeness: int
    by_both: int
    full: int
    superseded: tuple[Superseded, ...]
    key_ids: tuple[str, ...]
    bytes_added: int


@dataclass(frozen=True)
class Retrieval:
    """What a codebook knows about one query.

    Attributes:
        accepted: whether the nearest key is near enough.
        threshold: the largest distance that would have been accepted; ``inf`` without a gate, 0 when empty.
        distances: of the K nearest keys, nearest first, also when rejected (corrected ones with hubness).
        key_ids: those keys.
        facts: sentences to put before the question; empty when rejected.
        fact_keys: for each fact its key's place among ``key_ids``.
    """

    accepted: bool
    threshold: float
    distances: tuple[float, ...] = ()
    key_ids: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    fact_keys: tuple[int, ...] = ()

    @property
    def fact_distances(self) -> tuple[float, ...]:
        """Distance of each fact's key."""
        return tuple(self.distances[place] for place in self.fact_keys)


def plain_json(value: Any, what: str) -> Any:
    """``value`` as JSON reads it back, so that a codebook is the same before and after it was saved.

    Raises:
        RecordError: not JSON, or text that is not Unicode.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"{what}: not plain JSON ({error}); give text, finite numbers, lists and dicts") from error
    return json.loads(text)


def make_entries(
    edit_id: str, values: Sequence[str], kinds: Sequence[str], provenance: Sequence[Mapping[str, Any]] | None
) -> tuple[Entry, ...]:
    """Check and build the entries of one edit.

    Raises:
        RecordError: no entry, lengths differ, a blank sentence, an unknown kind, text that is not Unicode.
    """
    if not isinstance(edit_id, str) or not edit_id:
        raise RecordError(f"edit {edit_id!r}: an edit's id is a non-empty string")
    what = f"edit {edit_id!r}"
    plain_json(edit_id, what)
    sources: Sequence[Mapping[str, Any]] = [{} for _ in values] if provenance is None else provenance
    if not len(values) == len(kinds) == len(sources):
        raise RecordError(
            f"{what}: {len(values)} sentences, {len(kinds)} kinds and {len(sources)} provenances; give equally many"
        )
    if not values:
        raise RecordError(f"{what}: nothing to store; give at least the answer's entry")
    entries = []
    for number, (text, kind, source) in enumerate(zip(values, kinds, sources, strict=True)):
        where = f"{what}, entry {number}"
        if not isinstance(text, str) or not text.strip():
            raise RecordError(f"{where}: the sentence is empty; leave the entry out or state a fact")
        if kind not in KINDS:
            raise RecordError(f"{where}: kind {kind!r}; give one of {', '.join(KINDS)}")
        if not isinstance(source, Mapping):
            raise RecordError(f"{where}: provenance {source!r}; give a mapping")
        stored = plain_json(dict(source), f"{where}, provenance")
        entries.append(Entry(edit_id, number, KINDS[kind], plain_json(text, where), stored))
    return tuple(entries)
