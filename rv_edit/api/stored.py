"""One edit taken out of a codebook: its entries with their own keys and radii, to be put into another or written down.

Putting it back needs no model and no picture, and gives the same bytes as when it was made.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_modules.records import RecordError
from rv_edit.api.records import About, MadeEdit
from rv_edit.codebook import Codebook, Entry


@dataclass(frozen=True, eq=False)
class StoredEdit:
    """An edit with its keys.

    Attributes:
        entries: the sentences, in order, with where they come from.
        keys: (m, dim) fp16, each entry's own key, before any merging.
        radii: (m,) fp32.
        about: who made it, and when.
    """

    entries: tuple[Entry, ...]
    keys: Tensor
    radii: Tensor
    about: About = field(default_factory=About)

    @property
    def id(self) -> str:
        """The edit's id."""
        return self.entries[0].edit_id

    @classmethod
    def of(cls, book: Codebook, edit_id: str, about: About) -> StoredEdit:
        """Take ``edit_id`` out of ``book``, which keeps it.

        Raises:
            RecordError: no such edit.
        """
        span = book.ledger.edits.get(edit_id)
        if span is None:
            raise RecordError(f"edit {edit_id!r}: there is no such edit; .edits lists those there are")
        rows = slice(span.start, span.stop)
        return cls(tuple(book.ledger.entries[rows]), book.ledger.members[rows], book.ledger.radii[rows], about)

    def put_into(self, book: Codebook) -> tuple[str, ...]:
        """Insert into ``book``, as the newest edit; returns the ids of the edits whose answers it superseded."""
        report = book.insert(
            self.id,
            self.keys,
            [entry.text for entry in self.entries],
            self.radii,
            [entry.kind for entry in self.entries],
            [entry.provenance for entry in self.entries],
        )
        return tuple(dict.fromkeys(item.edit_id for item in report.superseded))

    def renamed(self, edit_id: str) -> StoredEdit:
        """The same edit under another id."""
        entries = tuple(
            replace(entry, edit_id=edit_id, provenance={**entry.provenance, "edit_id": edit_id})
            for entry in self.entries
        )
        return StoredEdit(entries, self.keys, self.radii, self.about)

    def same_as(self, other: StoredEdit) -> bool:
        """Whether both state the same with the same keys, whoever made them and whatever their ids are."""
        return (
            [(entry.kind, entry.text, _sources(entry)) for entry in self.entries]
            == [(entry.kind, entry.text, _sources(entry)) for entry in other.entries]
            and torch.equal(self.keys, other.keys)
            and torch.equal(self.radii, other.radii)
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values; numbers as base64 of their little-endian bytes, so that nothing is rounded."""
        return {
            "id": self.id,
            "about": asdict(self.about),
            "dim": int(self.keys.shape[1]),
            "keys": _encode(self.keys.numpy().astype("<f2")),
            "radii": _encode(self.radii.numpy().astype("<f4")),
            "entries": [
                {"kind": entry.kind, "text": entry.text, "provenance": dict(entry.provenance)} for entry in self.entries
            ],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> StoredEdit:
        """What :meth:`as_json` gave.

        Raises:
            RecordError: something else.
        """
        try:
            entries = tuple(
                Entry(str(stored["id"]), number, item["kind"], item["text"], item["provenance"])
                for number, item in enumerate(stored["entries"])
            )
            keys = np.frombuffer(base64.b64decode(stored["keys"], validate=True), "<f2")
            radii = np.frombuffer(base64.b64decode(stored["radii"], validate=True), "<f4")
            shaped = torch.from_numpy(keys.astype(np.float16)).reshape(len(entries), int(stored["dim"]))
            return cls(entries, shaped, torch.from_numpy(radii.astype(np.float32)), About(**stored["about"]))
        except (KeyError, TypeError, ValueError, RuntimeError, binascii.Error) as error:
            raise RecordError(f"a stored edit cannot be read ({error}); it is damaged") from error


def made_edit(book: Codebook, edit_id: str, about: About) -> MadeEdit:
    """An edit of ``book`` as its maker stated it, from the sentences and where they come from."""
    span = book.ledger.edits[edit_id]
    entries = book.ledger.entries[span.start : span.stop]
    source = entries[0].provenance
    facts: dict[int, str] = {}
    boxes: dict[int, list[tuple[float, float, float, float]]] = {}
    for number, entry in enumerate(entries):
        if entry.kind != "reasoning":
            continue
        fact = entry.provenance.get("fact")
        place = int(fact) if isinstance(fact, int) else number
        facts.setdefault(place, entry.text)
        if entry.provenance.get("box"):
            left, top, right, bottom = entry.provenance["box"]
            boxes.setdefault(place, []).append((left, top, right, bottom))
    # The edit is one: where several of its answers were superseded, the first says by what.
    retired = (book.ledger.retired[at] for at in span if at in book.ledger.retired)
    return MadeEdit(
        edit_id,
        str(source.get("image", "")),
        str(source.get("question", "")),
        str(source.get("answer", entries[0].text)),
        tuple(facts[place] for place in sorted(facts)),
        {place: tuple(crops) for place, crops in sorted(boxes.items())},
        next(retired, None),
        about,
    )


def _sources(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry.provenance.items() if name != "edit_id"}


def _encode(values: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
