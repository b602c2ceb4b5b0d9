"""Two people's edits in one codebook."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rv_edit.api.conflicts import Contradiction
from rv_edit.api.state import Change
from rv_edit.api.stored import StoredEdit
from rv_edit.codebook.fingerprint import difference
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.api.state import State

PREFER = ("newest", "ours", "theirs")
"""Whose answer holds where edits contradict each other."""


@dataclass(frozen=True)
class MergeReport:
    """What a merge did.

    Attributes:
        added: ids of the edits that came in, as they are called here.
        known: ids that were here already, word for word and key for key.
        renamed: their id -> the id here, where theirs was taken by another edit.
        contradictions: all that there are now.
    """

    added: tuple[str, ...]
    known: tuple[str, ...]
    renamed: dict[str, str] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()


def plan_merge(ours: State, theirs: State, prefer: str = "newest") -> tuple[Change, MergeReport]:
    """How ``theirs`` come into ``ours``; the report lacks the contradictions, which the merged codebook tells.

    The order of edits decides which answer holds: ``newest`` puts all edits in the order in which they were made
    (so that merging either way gives the same), ``theirs`` puts theirs last, ``ours`` ours.

    Raises:
        ConfigError: keys of different spaces cannot be compared, or ``prefer`` is none of the three.
    """
    if prefer not in PREFER:
        raise ConfigError(f"merge: prefer={prefer!r}; give one of {', '.join(PREFER)}")
    unlike = difference(theirs.editor.embedding.fingerprint, ours.editor.embedding.fingerprint)
    if unlike:
        raise ConfigError(f"merge: the other edits were made with another model or key space ({unlike})")
    mine = {edit_id: ours.stored(edit_id) for edit_id in ours.ids}
    news: list[StoredEdit] = []
    known: list[str] = []
    renamed: dict[str, str] = {}
    for edit_id in theirs.ids:
        stored = theirs.stored(edit_id)
        if edit_id in mine and stored.same_as(mine[edit_id]):
            known.append(edit_id)
            continue
        if edit_id in mine:
            stored = stored.renamed(_other_id(stored))
            if stored.id in mine or stored.id in theirs.ids:
                known.append(stored.id)  # an earlier merge brought it in under this name
                continue
            renamed[edit_id] = stored.id
        news.append(stored)
    kept = list(mine.values())
    ordered = [*news, *kept] if prefer == "ours" else [*kept, *news]
    if prefer == "newest":
        ordered.sort(key=lambda stored: (stored.about.created, stored.id))
    report = MergeReport(tuple(stored.id for stored in news), tuple(known), renamed)
    return Change("merge", ours.ids, tuple(ordered)), report


def _other_id(stored: StoredEdit) -> str:
    """Another id for an edit, made of what it states, so that a second merge finds it again."""
    digest = hashlib.sha256(stored.keys.numpy().tobytes())
    for entry in stored.entries:
        digest.update(entry.text.encode("utf-8", "replace"))
    return f"{stored.id}~{digest.hexdigest()[:12]}"
