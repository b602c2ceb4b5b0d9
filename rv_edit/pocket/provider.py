"""The generality suites of the pocket data sets, with the generator's own ground truth.

Everything is drawn anew from the edit's id, and every answer is derived anew from the new scene; an item whose
answer came out otherwise than its suite demands is left out.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import combinations
from random import Random

from data_modules.qa_record import QARecord
from data_modules.records import Edit, ImageRef, Question
from rv_edit.pocket.compose import scene_with, true_answer, varied
from rv_edit.pocket.describe import SIDE_WORDS, Description
from rv_edit.pocket.draw import options_for
from rv_edit.pocket.judge import Fact, Remark, Sighting, Statement
from rv_edit.pocket.knowledge import status
from rv_edit.pocket.queries import Query
from rv_edit.pocket.questions import PocketQuestion, restored
from rv_edit.pocket.render import render_png
from rv_edit.pocket.scene import KINDS, Scene

NOTHING = Description(frozenset())
THINGS = 2
"""How many things pictures of R-Gen and CoE-Gen show at least: of a single one, the question need not be understood."""
_TRIES = 20


@lru_cache(maxsize=4096)
def _image(scene: Scene) -> ImageRef:
    return ImageRef.from_bytes(render_png(scene))


class PocketSuites:
    """Makes suites; see :class:`data_modules.suites.SuiteProvider`.

    Args:
        t_gen: rephrasings an edit.
        i_gen: redrawn pictures an edit.
        coe_gen: new pictures an edit that show the error-inducing facts.
        contrast: pictures an edit where the same question has another answer.

    Attributes:
        lost: by suite, how many of the items that were wanted could not be made.
    """

    def __init__(self, t_gen: int = 10, i_gen: int = 4, coe_gen: int = 3, contrast: int = 2) -> None:
        self._t_gen, self._i_gen, self._coe_gen, self._contrast = t_gen, i_gen, coe_gen, contrast
        self.lost: Counter[str] = Counter()

    def t_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The edited question in held-out wordings, on the same picture."""
        asked, rng = asked_of(record), Random(f"{edit.id}/t_gen")
        texts: dict[str, None] = {}
        for _ in range(20 * self._t_gen):
            if len(texts) == self._t_gen:
                break
            text = asked.query.render(rng, held=True)
            if text != edit.question:
                texts[text] = None
        self.lost["t_gen"] += self._t_gen - len(texts)
        return [
            Question(f"{edit.id}/t{i}", edit.image, text, edit.choices, edit.target, "t_gen", edit.id)
            for i, text in enumerate(texts)
        ]

    def i_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The edited question on the scene drawn anew, in other light."""
        asked, rng = asked_of(record), Random(f"{edit.id}/i_gen")
        scenes = [varied(asked.scene, asked.query.description, rng) for _ in range(self._i_gen)]
        return [_same(edit, scene, "i_gen", i) for i, scene in enumerate(scenes)]

    def r_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """A question on every non-empty subset of the facts, on a scene that shows them."""
        n = len(asked_of(record).reasoning)
        subsets = [part for size in range(1, n + 1) for part in combinations(range(n), size)]
        found = [self.on_facts(edit, record, subset) for subset in subsets]
        made = [question for question, _ in filter(None, found)]
        self.lost["r_gen"] += len(subsets) - len(made)
        return made

    def on_facts(self, edit: Edit, record: QARecord, subset: tuple[int, ...]) -> tuple[Question, Scene] | None:
        """A question that rests on these facts, and the scene on its picture; ``None`` where there is none."""
        asked, rng = asked_of(record), Random(f"{edit.id}/r_gen/{subset}")
        item = self._about(asked, [asked.reasoning[i] for i in subset], rng)
        if item is None:
            return None
        query, scene = item
        answer = true_answer(query, scene)
        if answer is None:
            return None
        also = tuple(thing.kind for thing in scene.things) if query.about in ("kind", "which") else ()
        choices = options_for(query, answer, rng, also=also)
        name = f"{edit.id}/r" + "".join(str(i) for i in subset)
        target = choices.index(answer)
        return Question(name, _image(scene), query.render(rng), choices, target, "r_gen", edit.id), scene

    def coe_gen(self, edit: Edit, record: QARecord, error_chain: tuple[int, ...]) -> list[Question]:
        """The edited question on new scenes that show the error-inducing facts and differ in all else."""
        asked, rng = asked_of(record), Random(f"{edit.id}/coe_gen")
        scenes = [error_scene(asked, error_chain, rng) for _ in range(self._coe_gen)]
        self.lost["coe_gen"] += scenes.count(None)
        return [_same(edit, scene, "coe_gen", i) for i, scene in enumerate(scenes) if scene is not None]

    def contrast(self, edit: Edit, record: QARecord) -> list[Question]:
        """The edited question, word for word, where the thing it speaks of is of another, well-known kind."""
        asked, rng = asked_of(record), Random(f"{edit.id}/contrast")
        if asked.query.about != "value" or asked.query.description.get("kind"):
            return []
        questions = []
        known = [kind for kind in KINDS if kind != asked.thing.kind and status(kind, asked.relation) == "taught"]
        for i in range(self._contrast):
            scene = scene_with(asked.query.description, rng.choice(known), rng)
            answer = true_answer(asked.query, scene) if scene else None
            if scene is None or answer is None or answer == edit.answer:
                self.lost["contrast"] += 1
                continue
            choices = options_for(asked.query, answer, rng, also=(edit.answer,))
            name = f"{edit.id}/x{i}"
            questions.append(
                Question(name, _image(scene), edit.question, choices, choices.index(answer), "contrast", edit.id)
            )
        return questions

    @staticmethod
    def _about(asked: PocketQuestion, facts: list[Statement], rng: Random) -> tuple[Query, Scene] | None:
        """A question that rests on these facts, never the edited one, and a scene that shows them."""
        kind, relation = asked.thing.kind, asked.relation
        fact = next((one for one in facts if isinstance(one, Fact)), None)
        seen = next((one for one in facts if isinstance(one, Sighting)), None)
        note = next((one for one in facts if isinstance(one, Remark)), None)
        neighbour = (note.side, note.other) if note else None
        # Of two neighbours on one side, the remark's: a description has one a side.
        slots = frozenset(slot for slot in (seen.description.slots if seen else ()) if not note or slot[0] != note.side)
        description = Description(slots)
        if fact and asked.query.about == "which":
            named = Description(frozenset({("kind", kind)}))
            query = Query("value", description if seen else named, relation)
        elif fact and (seen or note):
            about = "texture" if seen and note else "colour"  # of either there are four options or more
            query = Query(about, NOTHING, relation, fact.value)
        elif fact:
            query = Query("which", NOTHING, relation, fact.value)
        elif note:
            query = Query("kind", Description(slots | {(note.side, note.other)}))
        else:
            query = Query("kind", description)
        wanted = Description(description.slots | (query.description.slots if query.about != "which" else frozenset()))
        scene = scene_with(wanted, kind, rng, neighbour=neighbour, least=THINGS)
        return (query, scene) if scene is not None and query != asked.query else None


def error_scene(asked: PocketQuestion, chain: tuple[int, ...], rng: Random) -> Scene | None:
    """A scene that shows the facts of an error chain, all else at random, and in which the edited answer is right.

    Args:
        asked: the edited question.
        chain: positions of the error-inducing facts among its reasoning. A sighting among them holds in the scene, and
            hides the thing if it was hidden; so does a remark. A piece of knowledge holds everywhere.
        rng: source of randomness.

    Returns:
        ``None`` where no such scene was found.
    """
    facts = [asked.reasoning[i] for i in chain]
    seen = next((one for one in facts if isinstance(one, Sighting)), None)
    note = next((one for one in facts if isinstance(one, Remark)), None)
    slots = dict(asked.query.description.slots)
    for name, value in sorted(seen.description.slots) if seen else ():
        if name not in SIDE_WORDS or not (note or slots.keys() & SIDE_WORDS.keys()):  # two neighbours rarely fit
            slots.setdefault(name, value)
    neighbour = (note.side, note.other) if note else None
    for _ in range(_TRIES):
        scene = scene_with(
            Description(frozenset(slots.items())),
            asked.thing.kind,
            rng,
            hidden=asked.thing.hidden and seen is not None,
            neighbour=neighbour,
            least=THINGS,
        )
        if scene is not None and true_answer(asked.query, scene) == asked.answer:
            return scene
    return None


def _same(edit: Edit, scene: Scene, suite: str, index: int) -> Question:
    name = f"{edit.id}/{suite[0]}{index}"
    return Question(name, _image(scene), edit.question, edit.choices, edit.target, suite, edit.id)


def asked_of(record: QARecord) -> PocketQuestion:
    """The question behind a record of a pocket data set."""
    data = record.extras["pocket"]
    return restored(data, record.question, record.choices, record.answer, record.reasoning)
