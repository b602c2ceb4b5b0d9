"""A vision-language model together with the edits people made to it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from data_modules.records import Box, Edit, EditReceipt, ImageRef, RecordError
from rv_edit.api.asking import ask_state, explain_state
from rv_edit.api.card import card, shown_name
from rv_edit.api.conflicts import Contradiction, contradicted, contradictions
from rv_edit.api.folder import FolderConfig, Measured, given_metrics, read_results, save_edits
from rv_edit.api.hub import push_folder
from rv_edit.api.inputs import (
    Choices,
    Picture,
    as_author,
    as_evidence,
    as_facts,
    as_image,
    as_questions,
    as_text,
    content_id,
)
from rv_edit.api.loading import Base
from rv_edit.api.merging import MergeReport, plan_merge
from rv_edit.api.opening import open_pretrained
from rv_edit.api.records import About, MadeEdit
from rv_edit.api.state import Change, State
from rv_edit.api.stored import StoredEdit
from rv_edit.errors import ConfigError

ON_CONFLICT = ("newest", "refuse")
Metrics = Mapping[str, Mapping[str, float]] | str | Path | None


class EditedVLM:
    """A model and its edits. Any number of threads may read while one at a time makes a change.

    Args:
        state: an editor and what is known about its edits.
        base: the model, as it can be named again.
        licence: of the edits.
        measured: metrics of exactly these edits, where known.

    Attributes:
        before_publishing: called with every change before readers see it; raising stops it.
        max_new_tokens: of a generated answer, unless :meth:`ask` is told.
    """

    def __init__(self, state: State, base: Base, licence: str = "", measured: Measured | None = None) -> None:
        self._state = state
        self.base = base
        self.licence = licence
        self.max_new_tokens = 16
        self.before_publishing: Callable[[Change], None] | None = None
        self._measured = measured
        self._pictures: dict[str, ImageRef] = {}
        self._writing = threading.RLock()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        model: str | Path | None = None,
        edits: str | Path | None = None,
        revision: str | None = None,
        device: str | None = "cpu",
        sample: Sequence[tuple[Picture, str]] = (),
        overrides: Sequence[str] = (),
    ) -> EditedVLM:
        """Load a model without edits, or saved edits together with their model.

        Args:
            name: an option of ``conf/model``, a folder of a model, a hub id of either, or a folder of saved edits.
            model: for saved edits: where their model is now, if not where they say.
            edits: edits to load over the model ``name``: a folder of saved edits, or the codebook folder of a run.
            revision: of a hub model.
            device: ``None`` takes a GPU where there is one.
            sample: some dozens of pictures with questions, needed once for a model without a saved key space.
            overrides: options as on the command line, e.g. ``editor.codebook.k=3``.

        Raises:
            ConfigError: nothing usable under that name, or edits of another model or revision.
        """
        opened = open_pretrained(
            name, model=model, edits=edits, revision=revision, device=device, sample=sample, overrides=overrides
        )
        return cls(opened.state, opened.base, opened.licence, opened.measured)

    # -- reading -------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The edits in force now; it stays as it is while later changes make others."""
        return self._state

    @property
    def edits(self) -> tuple[MadeEdit, ...]:
        """Every edit, oldest first; superseded ones say by what."""
        state = self._state
        return tuple(state.made(edit_id) for edit_id in state.ids)

    @property
    def contradictions(self) -> tuple[Contradiction, ...]:
        """Questions that edits answer differently about one picture, and whose answer holds."""
        return contradictions(self._state.editor.codebook)

    def ask(
        self,
        image: Picture | Sequence[Picture],
        question: str | Sequence[str],
        choices: Choices = None,
        *,
        max_new_tokens: int | None = None,
    ) -> Any:
        """Answer one question, or several at once.

        Args:
            image: a picture, or a list of them.
            question: one, or a list; a single picture or question goes with all of the other.
            choices: what to choose from, for all questions or for each; without, the answer is generated (greedily).
            max_new_tokens: of a generated answer.

        Returns:
            A :class:`Reply`, which as text is the answer; a list of them where a list was given.

        Raises:
            RecordError: a picture cannot be decoded, a question is blank, or lengths differ.
        """
        questions, many = as_questions(image, question, choices)
        most = self.max_new_tokens if max_new_tokens is None else max_new_tokens
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise RecordError(f"max_new_tokens={most!r}; give a whole number of at least 1")
        replies = ask_state(self._state, questions, most)
        return replies if many else replies[0]

    def explain(self, image: Picture | Sequence[Picture], question: str | Sequence[str]) -> Any:
        """Why questions are answered as they are; one :class:`Explanation`, or a list of them.

        Raises:
            RecordError: a picture cannot be decoded, a question is blank, or lengths differ.
        """
        questions, many = as_questions(image, question, None)
        told = explain_state(self._state, questions)
        return told if many else told[0]

    # -- changing ------------------------------------------------------------------------------------------

    def edit(
        self,
        image: Picture,
        question: str,
        answer: str,
        reasoning: str | Sequence[str],
        evidence: Mapping[int, Sequence[Box]] | None = None,
        *,
        author: str = "",
        edit_id: str | None = None,
        on_conflict: str = "newest",
    ) -> EditReceipt:
        """State the right answer and the facts that lead to it.

        Args:
            image: the picture asked about.
            question: as it was asked.
            answer: the right one.
            reasoning: facts, one sentence each; none at all: the answer alone is stored.
            evidence: index of a fact -> the parts of the picture that show it, ``(left, top, right, bottom)`` in
                pixels; for facts left out they are found.
            author: who says so; kept with the edit.
            edit_id: a name for it; without, one made of what is stated.
            on_conflict: where an edit answers the same question about the same picture differently: ``newest``, this
                one holds from now on and the receipt says what it superseded; ``refuse``.

        Raises:
            RecordError: the edit cannot be used, its id is taken, or it contradicts and that is refused. Nothing is
                changed.
        """
        if on_conflict not in ON_CONFLICT:
            raise ConfigError(f"on_conflict={on_conflict!r}; give one of {', '.join(ON_CONFLICT)}")
        picture, facts, crops = as_image(image), as_facts(reasoning), as_evidence(evidence)
        asked, said = as_text(question, "question"), as_text(answer, "answer")
        name = edit_id if edit_id is not None else content_id(picture, asked, said, facts, crops)
        made = Edit(as_text(name, "edit_id"), picture, asked, (said,), said, facts, crops)
        author = as_author(author)
        with self._writing:
            state = self._state
            others = contradicted(state.editor.codebook, picture.sha, asked, said)
            if others and on_conflict == "refuse":
                raise RecordError(
                    f"edit {made.id}: contradicts {', '.join(others)}, which answer the same question about the same "
                    "picture otherwise; undo them first, or let the newest hold"
                )
            after, stored, receipt = self._draft(state, made, author)
            self._publish(after, Change("edit", (), (stored,)))
            self._pictures[picture.sha] = picture
        told = tuple(f"contradicts edit {other}; the newest answer holds" for other in others)
        return replace(receipt, notes=(*receipt.notes, *told))

    def undo(self, edit_id: str, *, author: str = "") -> None:
        """Take an edit back; the others are then as if it had never been made.

        Args:
            edit_id: which.
            author: who does; told to whoever keeps a journal.

        Raises:
            RecordError: no such edit.
        """
        with self._writing:
            state = self._state
            state.stored(edit_id)  # says that there is none, before anything is done
            change = Change("undo", (edit_id,), by=About(as_author(author), _now()))
            self._publish(state.after(change), change)

    def amend(
        self,
        edit_id: str,
        fact: str,
        evidence: Sequence[Box] = (),
        *,
        image: Picture | None = None,
        author: str = "",
    ) -> EditReceipt:
        """Add a fact to an edit. It is then the newest one.

        Args:
            edit_id: which.
            fact: one sentence.
            evidence: parts of the picture that show it; without, they are found.
            image: the edit's picture, needed only where this process did not make the edit.
            author: who adds it; without, whoever made the edit stays its author.

        Raises:
            RecordError: no such edit, its picture is not at hand, or another one was given. Nothing is changed.
        """
        with self._writing:
            state = self._state
            old = state.stored(edit_id)
            was = state.made(edit_id)
            picture = self._picture(was, None if image is None else as_image(image))
            place = len(was.reasoning)
            crops = {**was.evidence, **as_evidence({place: tuple(evidence)} if evidence else None)}
            facts = (*was.reasoning, as_text(fact, "fact"))
            made = Edit(edit_id, picture, was.question, (was.answer,), was.answer, facts, crops)
            without = state.after(Change("undo", (edit_id,)))
            after, stored, receipt = self._draft(without, made, as_author(author) or old.about.author)
            self._publish(replace(after, version=state.version + 1), Change("amend", (edit_id,), (stored,)))
            self._pictures[picture.sha] = picture
        return receipt

    def merge(self, other: EditedVLM, prefer: str = "newest") -> MergeReport:
        """Take in another person's edits to the same model.

        Args:
            other: their model; it stays as it is.
            prefer: whose answer holds where edits contradict each other: ``newest``, ``ours`` or ``theirs``.

        Raises:
            ConfigError: another model or key space.
        """
        if not isinstance(other, EditedVLM):
            raise ConfigError(f"merge: {other!r}; give an EditedVLM, as EditedVLM.from_pretrained(<folder>) loads it")
        theirs = other.state
        with self._writing:
            change, report = plan_merge(self._state, theirs, prefer)
            if report.added:
                self._publish(self._state.after(change), change)
                self._pictures.update(other._pictures)
        return replace(report, contradictions=self.contradictions)

    def replay(self, change: Change, version: int | None = None) -> None:
        """Make a change again that was written down, without a model; see :class:`Change`.

        Args:
            change: what was changed, or several changes folded into one.
            version: that the edits have then; without, one more than now.

        Raises:
            RecordError: it does not fit the edits in force.
        """
        with self._writing:
            after = self._state.after(change)
            self._publish(after if version is None else replace(after, version=version), change)

    def remember(self, image: Picture) -> None:
        """Where the picture of an edit is, for :meth:`amend`; pictures of edits made here are known."""
        picture = as_image(image)
        self._pictures[picture.sha] = picture

    # -- files ---------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path, *, metrics: Metrics = None, licence: str | None = None) -> Path:
        """Write the edits, without the model, to ``folder``, with a model card.

        Args:
            folder: made where it does not exist.
            metrics: suite -> ``{"before": share, "after": share}``, or the path of a run's ``results.json``.
            licence: of the edits, an SPDX id for the card.

        Raises:
            ConfigError: the folder cannot be written, or the metrics are those of other edits.
        """
        return self._save(Path(folder).expanduser(), self.base, metrics, licence)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = True,
        token: str | None = None,
        metrics: Metrics = None,
        licence: str | None = None,
        message: str = "Edits",
    ) -> str:
        """Upload what :meth:`save_pretrained` writes; returns the commit's address. Local paths are shortened to names.

        Raises:
            ConfigError: the hub refuses, or cannot be reached.
        """
        public = replace(self.base, name=_public(self.base.name), text_encoder=_public(self.base.text_encoder))
        with tempfile.TemporaryDirectory(prefix="rv_edit-") as folder:
            self._save(Path(folder), public, metrics, licence)
            return push_folder(Path(folder), repo_id, private=private, token=token, message=message)

    # -- inside --------------------------------------------------------------------------------------------

    def _save(self, folder: Path, base: Base, metrics: Metrics, licence: str | None) -> Path:
        state = self._state
        self.licence = self.licence if licence is None else licence
        checksum = state.editor.checksum()
        if isinstance(metrics, (str, Path)):
            found = read_results(Path(metrics))
            if found.checksum != checksum:
                raise ConfigError(f"metrics={metrics}: measured with other edits than these; leave them out")
            self._measured = found
        elif metrics is not None:
            self._measured = Measured(given_metrics(metrics), checksum)
        measured = self._measured if self._measured is not None and self._measured.checksum == checksum else None
        config = FolderConfig(base, state.editor.embedding.fingerprint, self.licence, measured)
        return save_edits(folder, state, config, card(state, config))

    def _draft(self, state: State, edit: Edit, author: str) -> tuple[State, StoredEdit, EditReceipt]:
        """Make an edit on a copy of the codebook; nobody reads from it yet."""
        draft = state.editor.with_codebook(state.editor.codebook.copy())
        receipt = draft.edit(edit)
        about = About(author, _now(), round(receipt.seconds, 6))
        stored = StoredEdit.of(draft.codebook, edit.id, about)
        return State(draft, {**state.about, edit.id: about}, state.version + 1), stored, receipt

    def _publish(self, state: State, change: Change) -> None:
        """Let readers see a change, once whoever keeps a journal has it."""
        if self.before_publishing is not None:
            self.before_publishing(change)
        self._state = state

    def _picture(self, made: MadeEdit, given: ImageRef | None) -> ImageRef:
        picture = given or self._pictures.get(made.image)
        if picture is None:
            raise RecordError(f"edit {made.id}: its picture ({made.image[:12]}) is not at hand; give it as image=")
        again = ImageRef.from_path(picture.path) if picture.path is not None else picture
        if again.sha != made.image:
            raise RecordError(f"edit {made.id}: was made on another picture ({made.image[:12]}, not {again.sha[:12]})")
        return again


def _public(name: str) -> str:
    return name if name.startswith("package://") else shown_name(name)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
