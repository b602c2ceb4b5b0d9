"""A data set of coloured noise with every suite, for ``dataset.source._target_``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image

from data_modules.bundle import DataBundle
from data_modules.qa_record import QARecord, ReadReport
from data_modules.records import Edit, ImageRef, Question

COLOURS = ("red", "green", "blue", "yellow")


@cache
def picture(seed: int) -> ImageRef:
    generator = np.random.default_rng(seed)
    base = generator.integers(0, 256, (4, 4, 3)).repeat(9, axis=0).repeat(9, axis=1)
    return ImageRef.from_pil(Image.fromarray(base.astype(np.uint8)))


def record(index: int) -> QARecord:
    answer = COLOURS[np.random.default_rng(index).integers(4)]
    facts = (f"Lamp {index} is {answer}.",)
    return QARecord(f"r{index}", picture(index), f"What colour is lamp {index}?", COLOURS, answer, facts)


class Provider:
    """Two rephrasings, a new picture, a rationale question, and the same question elsewhere."""

    def t_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        texts = (f"Say the colour: {edit.question}", f"Which colour? {edit.question}")
        return [self._made(edit, "t_gen", place, text=text) for place, text in enumerate(texts)]

    def i_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        return [self._made(edit, "i_gen", 0, image=self._other(edit, 1))]

    def r_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        return [self._made(edit, "r_gen", 0, text=f"Is {edit.id} seen?", image=self._other(edit, 2))]

    def coe_gen(self, edit: Edit, record: QARecord, error_chain: Sequence[int]) -> list[Question]:
        return [self._made(edit, "coe_gen", 0, image=self._other(edit, 3))]

    def contrast(self, edit: Edit, record: QARecord) -> list[Question]:
        target = (edit.target + 1) % 4
        return [self._made(edit, "contrast", 0, image=self._other(edit, 4), target=target)]

    def _other(self, edit: Edit, turn: int) -> ImageRef:
        return picture(10_000 * turn + int(edit.id[1:]))

    def _made(
        self,
        edit: Edit,
        suite: str,
        place: int,
        text: str | None = None,
        image: ImageRef | None = None,
        target: int | None = None,
    ) -> Question:
        return Question(
            f"{edit.id}-{suite}-{place}",
            image or edit.image,
            text or edit.question,
            edit.choices,
            edit.target if target is None else target,
            suite,
            edit.id,
        )


def reword(record: QARecord, seed: int) -> str:
    openings = ("Say", "Tell me", "I ask", "Well", "Please")
    return f"{openings[np.random.default_rng(seed).integers(len(openings))]}: {record.question}"


def load(
    name: str = "tiny",
    root: str | None = None,
    size: int = 40,
    suites: bool = True,
    split: str = "",
    questions: int = 0,
    first: int = 0,
) -> DataBundle:
    report = ReadReport(name, kept=size)
    return DataBundle(
        [record(index) for index in range(first, first + size)], Provider() if suites else None, report, name
    )


def load_with_a_bad_picture(
    name: str = "tiny", root: str | None = None, split: str = "", questions: int = 0
) -> DataBundle:
    bundle = load(name)
    bad = QARecord("bad", ImageRef.from_bytes(b"nothing"), "What is it?", COLOURS, "red")
    return DataBundle([*bundle.records, bad], bundle.provider, bundle.report, bundle.name)
