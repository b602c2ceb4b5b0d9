"""The embedded world as a writer of texts and a maker of pictures, so that ``task=build_suites`` runs offline.

It answers in the form that language models are asked for, and draws scenes of which it knows that the suite's answer is
true. Prompts are not read: what an item is about is told by its subject.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from data_modules.qa_record import QARecord
from rv_edit.benchmark.building.requests import ImageRequest, Subject, TextReply, TextRequest, UnusableError
from rv_edit.pocket.compose import varied
from rv_edit.pocket.describe import LIGHT_WORDS, PLACE_WORDS
from rv_edit.pocket.judge import with_article
from rv_edit.pocket.provider import PocketSuites, asked_of, error_scene
from rv_edit.pocket.render import render
from rv_edit.pocket.scene import Scene

if TYPE_CHECKING:
    from PIL import Image

NO_QUESTION = "the generator knows no question on these facts"
NO_SCENE = "the generator finds no such scene"
_TRIES = 50


def _refusal(record: QARecord) -> str | None:
    if "pocket" in record.extras:
        return None
    return (
        "the generator knows the pocket data sets alone; give task/text=openai and task/images=sd3_flux, or other ones"
    )


class PocketTexts:
    """A :class:`~rv_edit.benchmark.building.requests.TextProvider` that needs no language model.

    Args:
        count: rephrasings an edit.
        scenes: scenes a chain of error.
    """

    concurrency = 1
    runs_here = False

    def __init__(self, count: int, scenes: int) -> None:
        self.about = {"kind": "pocket", "model": "generator"}
        self._suites, self._scenes = PocketSuites(t_gen=count), scenes

    def refuses(self, record: QARecord) -> str | None:
        """Any other data set than the pocket ones."""
        return _refusal(record)

    def load(self) -> None:
        """Nothing is loaded here."""

    def release(self) -> None:
        """Nothing is held here."""

    def ask(self, request: TextRequest, stop: threading.Event) -> TextReply:
        """The text, as JSON."""
        edit, record = request.subject.edit, request.subject.record
        answer: Any
        if request.suite == "t_gen":
            answer = [question.text for question in self._suites.t_gen(edit, record)]
        elif request.suite == "coe_gen":
            answer = list(_error_scenes(request.subject, self._scenes))
        else:
            found = self._suites.on_facts(edit, record, request.subject.facts)
            if found is None:
                raise UnusableError(NO_QUESTION, final=True)
            question, _ = found
            wrong = [choice for place, choice in enumerate(question.choices) if place != question.target]
            answer = {"question": question.text, "correct": question.choices[question.target], "incorrect": wrong}
        return TextReply(json.dumps(answer))


class PocketPictures:
    """An :class:`~rv_edit.benchmark.building.requests.ImageProvider` that renders scenes."""

    batch_size = 16
    seconds_per_image: float | None = None

    def __init__(self) -> None:
        self.about = {"kind": "pocket", "model": "renderer"}

    def refuses(self, record: QARecord) -> str | None:
        """Any other data set than the pocket ones."""
        return _refusal(record)

    def load(self) -> None:
        """Nothing is needed."""

    def release(self) -> None:
        """Nothing is held here."""

    def paint(self, requests: Sequence[ImageRequest]) -> list[Image.Image | UnusableError]:
        """A rendered scene for each request in which the suite's answer is true."""
        scenes = [self._scene(request) for request in requests]
        return [UnusableError(NO_SCENE) if scene is None else render(scene) for scene in scenes]

    def _scene(self, request: ImageRequest) -> Scene | None:
        """Which scene; the seed changes light and accidents of drawing, as far as the answer does not rest on them."""
        subject, redraw = request.subject, request.seed % 2**31
        if request.suite == "i_gen":
            asked = asked_of(subject.record)
            return varied(asked.scene, asked.query.description, Random(request.seed))
        if request.suite == "r_gen":
            found = PocketSuites().on_facts(subject.edit, subject.record, subject.facts)
            return None if found is None else found[1].redrawn(redraw)
        scenes = list(_error_scenes(subject, request.index + 1).values())
        return scenes[request.index].redrawn(redraw) if request.index < len(scenes) else None


def _error_scenes(subject: Subject, count: int) -> dict[str, Scene]:
    """Up to ``count`` scenes that show the error-inducing facts, by a sentence that tells each from the others.

    The first ones are the same whatever ``count`` is.
    """
    asked, edit = asked_of(subject.record), subject.edit
    rng = Random(f"{edit.id}/built/coe_gen/{subject.facts}")
    scenes: dict[str, Scene] = {}
    for _ in range(_TRIES):
        if len(scenes) == count:
            break
        scene = error_scene(asked, subject.facts, rng)
        if scene is not None:
            beside = [with_article(one.kind) for one in scene.things if one.kind != asked.thing.kind]
            place, light = PLACE_WORDS[scene.place][0], LIGHT_WORDS[scene.light][0]
            scenes.setdefault(f"It is {place} {light}, beside {' and '.join(beside) or 'nothing else'}.", scene)
    return scenes
