"""What the routes share: the model, the edits, the thread that answers and the one that edits."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from data_modules.records import Question, RecordError
from rv_edit.api import EditedVLM
from rv_edit.api.asking import ask_state, explain_state
from rv_edit.api.mapping import Map, draw_map, query_keys
from rv_edit.app.batching import Batcher
from rv_edit.app.errors import RequestError
from rv_edit.app.examples import Example
from rv_edit.app.keeper import Keeper
from rv_edit.app.keys import Keys
from rv_edit.app.observing import Observer
from rv_edit.app.pictures import Room, ShownImage, read_picture
from rv_edit.app.settings import ServeSettings
from rv_edit.app.turns import share_between_threads
from rv_edit.evidence.select import Evidence
from rv_edit.vlm.vocabulary import Vocabulary

log = logging.getLogger(__name__)

Result = TypeVar("Result")
EXPLAIN = "explain"
"""The sort of jobs that want to know what is retrieved, and no answer; those that do are sorted by length."""
PLACE = "place"
"""The sort of jobs that want their key, to be shown on the map."""


class Service:
    """A model with its edits, behind a network.

    Args:
        vlm: the model, with the edits to begin with.
        settings: checked options.
        keys: who may use it; empty: whoever can reach it.
        examples: questions that the page offers.

    Raises:
        ConfigError: the data folder cannot be used.
    """

    def __init__(self, vlm: EditedVLM, settings: ServeSettings, keys: Keys, examples: Sequence[Example] = ()) -> None:
        self.vlm = vlm
        self.settings = settings
        self.keys = keys
        self.examples = tuple(examples)
        self.observer = Observer()
        self.name = settings.name or vlm.base.short_name
        self.turns = share_between_threads(vlm.state.editor)
        self.words = Vocabulary(vlm.state.editor.vlm.prompts.tokenizer)
        self.keeper = Keeper(vlm, settings.data)
        self.batcher = Batcher(self._answer, settings.batch_size, settings.waiting, self.observer.batches.observe)
        self._writer = ThreadPoolExecutor(1, "rv_edit-edits")
        self._decoders = ThreadPoolExecutor(4, "rv_edit-pictures")
        self._finder = ThreadPoolExecutor(1, "rv_edit-evidence")
        self._changes = self._searches = 0
        self._room = Room(settings.waiting_pixels)
        self._map: Map | None = None
        self._watch()

    async def picture(self, url: str) -> ShownImage:
        """The picture of a request, decoded.

        Raises:
            RequestError: it cannot be used, or there is no room for it now (503).
        """
        read = partial(read_picture, url, self.settings.limits, self.settings.remote, self._room)
        return await asyncio.get_running_loop().run_in_executor(self._decoders, read)

    async def ask(
        self, image: ShownImage, text: str, choices: Sequence[str] = (), sort: Hashable = EXPLAIN
    ) -> tuple[Any, int]:
        """An answer, and the version of the edits that it was given with.

        Args:
            image: the picture.
            text: the question.
            choices: to answer with; none: freely.
            sort: most tokens of the answer; :data:`EXPLAIN`: an explanation instead.

        Raises:
            RequestError: too many wait, or it took too long (503).
            RecordError: the question cannot be answered.
        """
        found: tuple[Any, int] = await self._wait(image, text, choices, sort)
        self.observer.retrieved(found[0].accepted)
        return found

    async def query_key(self, image: ShownImage, text: str) -> Tensor | None:
        """(dim,) what a question is looked up with; ``None`` while there are no edits.

        Raises:
            RequestError: too many wait, or it took too long (503).
            RecordError: the picture cannot be used.
        """
        found: Tensor | None = await self._wait(image, text, (), PLACE)
        return found

    async def look(self, read: Callable[[], Result]) -> Result:
        """Do something that needs no model, off the thread of the requests."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, read)

    async def unknown_words(self, texts: Sequence[str]) -> list[tuple[str, list[str]]]:
        """Words that the model's tokenizer spells, with known ones that are written alike."""

        def read() -> list[tuple[str, list[str]]]:
            with self.turns():  # a tokenizer serves one thread at a time
                unknown = self.words.unknown(texts)
            return [(word, self.words.near(word)) for word in unknown]

        return await self.look(read)

    async def map_of_keys(self) -> Map:
        """The map of the edits in force, drawn once a version."""
        state, most = self.vlm.state, self.settings.map_points
        if self._map is None or self._map.version != state.version:
            self._map = await self.look(lambda: draw_map(state, most))
        return self._map

    async def find_evidence(self, image: ShownImage, facts: Sequence[str]) -> tuple[Evidence, ...]:
        """What shows each fact, as an edit would find it.

        Raises:
            RequestError: too many wait (503).
            RecordError: a fact cannot be used.
        """
        if self._searches >= self.settings.waiting:
            raise RequestError("busy: too many searches wait; send it again in a moment", 503, "busy")
        self._searches += 1
        try:
            find = partial(self.vlm.state.editor.evidence, image.open(), tuple(facts))
            found = await asyncio.get_running_loop().run_in_executor(self._finder, find)
        finally:
            self._searches -= 1
        return found.facts

    async def change(self, kind: str, make: Callable[[], Result]) -> Result:
        """Make a change on the thread for changes, one after the other.

        Raises:
            RequestError: too many wait (503).
        """
        if self._changes >= self.settings.waiting:
            raise RequestError("busy: too many changes wait; send it again in a moment", 503, "busy")
        self._changes += 1
        try:
            # A client that goes away must not stop a change half-way; what it began is finished.
            done = await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, make))
        finally:
            self._changes -= 1
        self.observer.changes.labels(kind).inc()
        return done

    def close(self) -> None:
        """Finish what waits, then let go of everything."""
        self.batcher.close()
        self._writer.shutdown()
        self._finder.shutdown()
        self._decoders.shutdown()
        self.keeper.close()

    async def _wait(self, image: ShownImage, text: str, choices: Sequence[str], sort: Hashable) -> Any:
        question = Question(uuid.uuid4().hex, image, text, tuple(choices), 0)
        waiting = self.batcher.submit(question, sort, self.settings.seconds)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(waiting), self.settings.seconds)
        except (TimeoutError, asyncio.TimeoutError):
            raise RequestError("busy: answering took too long; ask again in a moment", 503, "busy") from None

    def _answer(self, sort: Hashable, questions: list[Question]) -> list[Any]:
        """One batch, all of it with the same edits."""
        state = self.vlm.state
        if sort == PLACE:
            keys = query_keys(state, questions)
            return list(keys) if len(keys) else [None] * len(questions)
        if sort == EXPLAIN:
            return [(told, state.version) for told in explain_state(state, questions)]
        for question in questions:
            self._check_choices(question)
        assert isinstance(sort, int)
        return [(reply, state.version) for reply in ask_state(state, questions, sort)]

    def _check_choices(self, question: Question) -> None:
        with self.turns():
            for choice in question.choices:
                try:
                    self.vlm.state.editor.vlm.prompts.answer_ids(choice)
                except ValueError as error:
                    raise RecordError(f"choices: {error}") from error

    def _watch(self) -> None:
        observer = self.observer
        observer.watch("rv_edit_edits", "Edits in the codebook", lambda: len(self.vlm.state.ids))
        observer.watch("rv_edit_keys", "Keys in the codebook", lambda: self.vlm.state.editor.num_keys)
        observer.watch("rv_edit_codebook_bytes", "Bytes of keys and sentences", lambda: self.vlm.state.editor.nbytes)
        observer.watch("rv_edit_version", "Changes since the edits begun with", lambda: self.vlm.state.version)
        observer.watch("rv_edit_journal_bytes", "Bytes of the journal", lambda: self.keeper.journal.size)
        observer.watch("rv_edit_questions_waiting", "Questions that wait", lambda: self.batcher.waiting)
        observer.watch("rv_edit_changes_waiting", "Changes that wait or are made", lambda: self._changes)
