"""The edits of a service: read by many, changed by one at a time, and in the journal before anybody is told.

The folder holds ``journal.jsonl``, ``pictures/`` and ``lock``. At the start the journal's changes are folded into the
edits in force, which are then put into the codebook with the keys that were written down: no model runs, and the bytes
are those from before.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_modules.records import Box, EditReceipt, ImageRef, RecordError
from rv_edit.api import Change, EditedVLM, MadeEdit, StoredEdit
from rv_edit.api.inputs import as_evidence, as_facts, as_text, content_id
from rv_edit.app.errors import RequestError
from rv_edit.app.journal import Journal, JournalError, Torn
from rv_edit.app.pictures import PictureFolder
from rv_edit.codebook.fingerprint import difference
from rv_edit.errors import ConfigError

SCHEMA = 1


@dataclass(frozen=True)
class Outcome:
    """An edit that is in force and on the disk; ``repeated``: it was already, so nothing was done."""

    made: MadeEdit
    receipt: EditReceipt | None
    repeated: bool = False


class Keeper:
    """Edits on a disk.

    Args:
        vlm: the model, with the edits that a service begins with.
        folder: of the journal; a folder serves one process at a time.

    Raises:
        ConfigError: the folder is in use, cannot be written, or its journal is damaged or of other edits.
    """

    def __init__(self, vlm: EditedVLM, folder: Path) -> None:
        self.vlm = vlm
        self.pictures = PictureFolder(folder / "pictures")
        self._writing = threading.Lock()
        self._lock = _locked(folder)
        self.journal = Journal(folder / "journal.jsonl")
        begun = {
            "kind": "begin",
            "schema": SCHEMA,
            "fingerprint": dict(vlm.state.editor.embedding.fingerprint),
            "edits": vlm.state.editor.checksum(),
        }
        if self.journal.records:
            self._replay(begun)
        else:
            self.journal.append(begun)
        vlm.before_publishing = lambda change: self.journal.append(change_as_json(change))

    @property
    def torn(self) -> Torn | None:
        """What a crash had left of the journal's last line, at the start."""
        return self.journal.torn

    def get(self, edit_id: str) -> MadeEdit:
        """An edit.

        Raises:
            RequestError: no such edit (404).
        """
        state = self.vlm.state
        if edit_id not in state.ids:
            raise RequestError("no such edit; GET /v1/edits lists those there are", 404, "edit_not_found", "edit_id")
        return state.made(edit_id)

    def edit(
        self,
        image: ImageRef,
        question: str,
        answer: str,
        reasoning: Sequence[str],
        evidence: Mapping[int, Sequence[Box]],
        *,
        author: str,
        edit_id: str | None,
        on_conflict: str,
    ) -> Outcome:
        """Make an edit; the same one again is acknowledged again, and made once.

        Raises:
            RecordError: it cannot be used.
            RequestError: its id is another edit's (409), or it cannot be made durable (503).
        """
        facts, crops = as_facts(reasoning), as_evidence(evidence)
        asked, said = as_text(question, "question"), as_text(answer, "answer")
        name = edit_id or content_id(image, asked, said, facts, crops)
        with self._writing:
            if name in self.vlm.state.ids:
                made = self.vlm.state.made(name)
                # A name made of what is stated stays that edit's when somebody amends it.
                told = made.reasoning if edit_id else made.reasoning[: len(facts)]
                if (made.image, made.question, made.answer, told) != (image.sha, asked, said, facts):
                    raise RequestError(
                        "the id is another edit's; choose another, or leave it out", 409, "id_taken", "id"
                    )
                return Outcome(made, None, repeated=True)
            with _durable():
                kept = self.pictures.keep(image)
                # The decoded picture is edited; the kept one is what later changes find.
                receipt = self.vlm.edit(
                    image, asked, said, facts, crops, author=author, edit_id=name, on_conflict=on_conflict
                )
            self.vlm.remember(kept)
            return Outcome(self.vlm.state.made(name), receipt)

    def undo(self, edit_id: str, author: str = "") -> None:
        """Take an edit back; who did it, and when, is in the journal alone.

        Raises:
            RequestError: no such edit (404), or it cannot be made durable (503).
        """
        with self._writing, _durable():
            self.get(edit_id)
            self.vlm.undo(edit_id, author=author)

    def amend(self, edit_id: str, fact: str, evidence: Sequence[Box], author: str, most: int | None = None) -> Outcome:
        """Add a fact to an edit; one that it states already is acknowledged again, and stated once.

        Args:
            edit_id: which.
            fact: one sentence.
            evidence: parts of the picture that show it.
            author: who adds it.
            most: facts that an edit may have; ``None``: any number.

        Raises:
            RecordError: the fact cannot be used, or the edit came without its picture.
            RequestError: no such edit (404), it has so many facts (413), or it cannot be made durable (503).
        """
        with self._writing, _durable():
            made = self.get(edit_id)
            if as_text(fact, "fact") in made.reasoning:
                return Outcome(made, None, repeated=True)
            if most is not None and len(made.reasoning) >= most:
                raise RequestError(f"fact: the edit has {most} already", 413, "too_many", "fact")
            receipt = self.vlm.amend(edit_id, fact, evidence, image=self.pictures.find(made.image), author=author)
            return Outcome(self.vlm.state.made(edit_id), receipt)

    def close(self) -> None:
        """Let go of the folder, once a change under way is through."""
        with self._writing:
            self.journal.close()
            self._lock.close()

    def _replay(self, begun: Mapping[str, Any]) -> None:
        first, *rest = self.journal.records
        where = f"journal {self.journal.path}"
        if first.get("kind") != "begin" or first.get("schema") != SCHEMA:
            raise ConfigError(f"{where}: of another version; move it away to begin anew")
        unlike = difference(first["fingerprint"], begun["fingerprint"])
        if unlike:
            raise ConfigError(f"{where}: made with another model or key space ({unlike}); give that model")
        if first["edits"] != begun["edits"]:
            raise ConfigError(f"{where}: began with other edits than edits= gives; give those, or another data folder")
        state = self.vlm.state
        try:
            kept = fold({edit_id: state.stored(edit_id) for edit_id in state.ids}, [change_from_json(r) for r in rest])
            self.vlm.replay(Change("merge", state.ids, tuple(kept.values())), version=len(rest))
        except (RecordError, KeyError, TypeError) as error:
            raise ConfigError(f"{where}: {error}; restore it from a copy") from error
        self.journal.records = []  # they are in the codebook now


def fold(begun: Mapping[str, StoredEdit], changes: Sequence[Change]) -> dict[str, StoredEdit]:
    """The edits in force after ``changes``, in order. As an undo leaves no trace, none is left here either.

    Raises:
        RecordError: a change that does not fit.
    """
    kept = dict(begun)
    for change in changes:
        for edit_id in change.removed:
            if kept.pop(edit_id, None) is None:
                raise RecordError(f"takes back edit {edit_id!r}, which is not there")
        for stored in change.added:
            if stored.id in kept:
                raise RecordError(f"makes edit {stored.id!r} twice")
            kept[stored.id] = stored
    return kept


def change_as_json(change: Change) -> dict[str, Any]:
    """A change as the journal holds it."""
    by = {} if change.by is None else {"by": change.by.author, "at": change.by.created}
    return {
        "kind": change.kind,
        "removed": list(change.removed),
        "added": [stored.as_json() for stored in change.added],
        **by,
    }


def change_from_json(record: Mapping[str, Any]) -> Change:
    """What :func:`change_as_json` gave; raises RecordError or KeyError where it is something else."""
    return Change(
        record["kind"], tuple(record["removed"]), tuple(StoredEdit.from_json(stored) for stored in record["added"])
    )


@contextmanager
def _durable() -> Iterator[None]:
    """What cannot be written is the service's trouble, not the request's: a 503."""
    try:
        yield
    except OSError as error:
        said = str(error) if isinstance(error, JournalError) else f"cannot be written ({error.strerror or error})"
        raise RequestError(f"not durable, so not done: {said}", 503, "not_durable") from error


def _locked(folder: Path) -> Any:
    """Have ``folder`` to this process alone, for as long as the file returned is open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise ConfigError(f"data={folder}: cannot be written ({error.strerror}); choose another folder") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(f"data={folder}: another service uses it; end that one, or choose another folder") from error
    return lock
