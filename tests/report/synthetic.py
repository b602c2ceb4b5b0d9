"""A made-up run with everything that reports must cope with, the same for the same seed."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageDraw

from data_modules.records import SUITES, Answer, Edit, EditReceipt, ImageRef, Question
from rv_edit.report import RunResult, Skipped

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'\x00\x1b[31m\u202e{{ 7*7 }}\ud800"
PER_EDIT = {"acc": 1, "t_gen": 4, "i_gen": 2, "r_gen": 3, "coe_gen": 2, "contrast": 1}


def picture(seed: int, size: tuple[int, int] = (72, 72)) -> ImageRef:
    """A few coloured things on a ground."""
    draw_from = random.Random(seed)
    image = Image.new("RGB", size, draw_from.choice(["#cfe3f2", "#e8dcc0", "#cde4c3"]))
    pen = ImageDraw.Draw(image)
    width, height = size
    for _ in range(3):
        x, y = draw_from.uniform(0.1, 0.6) * width, draw_from.uniform(0.1, 0.6) * height
        box = (x, y, x + width * 0.3, y + height * 0.3)
        colour = draw_from.choice(["#d1495b", "#edae49", "#30638e", "#66a182", "#2e2e3a"])
        draw_from.choice([pen.ellipse, pen.rectangle])(box, fill=colour, outline="#222")
    return ImageRef.from_pil(image)


def make_edit(place: int, size: tuple[int, int] = (72, 72)) -> Edit:
    """An edit with three facts; every third comes with a crop of the user's."""
    width, height = size
    things = ["lamp", "kettle", "bicycle", "umbrella", "drum"]
    thing = things[place % len(things)]
    return Edit(
        id=f"pick-{place:04d}",
        image=picture(place, size),
        question=f"What is the striped {thing} left of the tree mostly used for?",
        choices=("boiling water", "keeping dry", "giving light", "making music"),
        answer="giving light",
        reasoning=(
            f"The striped thing left of the tree is a {thing}.",
            f"A {thing} is used for giving light in this world.",
            "Giving light is what people want after dark.",
        ),
        evidence={0: ((width * 0.1, height * 0.1, width * 0.5, height * 0.6),)} if place % 3 == 0 else {},
    )


def make_receipt(edit: Edit, place: int) -> EditReceipt:
    """Two crops for the first fact, one for the second, at corners that meet."""
    width, height = edit.image.open().size
    third, high = width / 3, height / 3
    found = {
        0: ((0.0, 0.0, third, high), (third, high, width, height)),
        1: ((0.0, 0.0, 2 * third, high),),
    }
    return EditReceipt(
        edit.id,
        keys_added=5,
        keys_merged=place % 3,
        bytes_added=5 * 1024,
        seconds=0.1 + 0.01 * place,
        evidence={**found, **edit.evidence},
        superseded="pick-0000" if place == 4 else None,
        notes=("no patch shows F3: the whole picture stands in",) if place % 4 == 1 else (),
    )


def scores(draw_from: random.Random, chosen: int, count: int) -> tuple[float, ...]:
    """Log-likelihoods with their arg-max at ``chosen``."""
    return tuple(-1.0 if index == chosen else -1.0 - draw_from.uniform(0.3, 4) for index in range(count))


def answer(draw_from: random.Random, question: Question, right: bool, facts: tuple[str, ...]) -> Answer:
    """An answer, right or wrong, with what was retrieved for it."""
    wrong = (question.target + 1 + draw_from.randrange(len(question.choices) - 1)) % len(question.choices)
    chosen = question.target if right else wrong
    accepted = None if not facts and draw_from.random() < 0.01 else bool(facts)
    distances = tuple(sorted(draw_from.uniform(0.1, 0.9) for _ in facts))
    keys = tuple(sorted(2 * distances))  # two keys a fact: by its crop and by the whole picture
    found = scores(draw_from, chosen, len(question.choices))
    return Answer(question.id, chosen, found, facts, keys, accepted, 1.0, distances)


def make_run(edits: int = 12, seed: int = 0, size: tuple[int, int] = (72, 72), loc: int = 40) -> RunResult:
    """A run of ``edits`` edits, of which every fifth stays wrong."""
    draw_from = random.Random(seed)
    made = [make_edit(place, size) for place in range(edits)]
    before, after = [], []
    for place, edit in enumerate(made):
        for suite, count in PER_EDIT.items():
            for number in range(count):
                question = Question(
                    edit.id if suite == "acc" else f"{edit.id}/{suite}/{number}",
                    edit.image,
                    edit.question if suite in ("acc", "contrast") else f"{edit.question} ({suite} {number})",
                    edit.choices,
                    edit.target,
                    suite,
                    edit.id,
                )
                stored = (
                    f'The answer to question "{edit.question}" about the image is {edit.answer}.',
                    *edit.reasoning[:2],
                )
                before.append((question, answer(draw_from, question, suite == "contrast", ())))
                after.append((question, answer(draw_from, question, bool(place % 5 or number), stored)))
    for number in range(loc):
        question = Question(f"loc-{number:03d}", picture(1000 + number), "Is it day?", ("yes", "no"), 0, "loc", None)
        before.append((question, answer(draw_from, question, True, ())))
        after.append(
            (question, answer(draw_from, question, number % 20 > 0, ("A stray fact.",) if number % 20 == 0 else ()))
        )
    assert {question.suite for question, _ in after} == set(SUITES)
    return RunResult(
        config={
            "editor": {"name": "reasonedit", "k": 5, "radius": math.inf},
            "model": {"name": "small_llava"},
            "dataset": {"name": "drawn", "edits": edits},
            "protocol": "accumulate",
        },
        seed=seed,
        edits=made,
        receipts=[make_receipt(edit, place) for place, edit in enumerate(made)],
        before=before,
        after=after,
        codebook={"keys": 4 * edits, "nbytes": 4096 * edits, "checksum": "abc"},
        timings={"editing": 1.5, "asking after": 2.5},
        skipped=[Skipped("q7", "image: truncated"), Skipped("q9", "fewer than two choices")],
        error_counts={"empty chains": 3, "dropped pictures": 0},
        versions={"python": "3.x"},
        git_hash="0" * 40,
    )
