"""The suites of RationaleVQA as far as it has them: its texts, on pictures that its authors' programs (or ours) made.

The benchmark holds rephrasings, captions, rationale questions and scenes, but no generated picture. Where a picture is
not there, its question is left out and counted; ``task=build_suites`` can make it from the same texts, which every
record carries in its ``extras`` (``caption``, ``rationale_questions``, ``scenarios``).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.qa_record import QARecord, merge_choices
from data_modules.rationale_tables import RationaleTables
from data_modules.records import Edit, ImageRef, Question, RecordError
from data_modules.suites import ErrorChain
from data_modules.text import clean_text


@dataclass(frozen=True)
class RationaleQuestion:
    """A question that rests on ``facts``, some neighbouring sentences of a chain; ``sid`` names its picture."""

    sid: str
    question: str
    choices: tuple[str, ...]
    answer: str
    facts: str


class RationaleSuites:
    """Makes the questions of the suites; a :class:`data_modules.suites.SuiteProvider`.

    Args:
        tables: the benchmark's.
        generated: folder with generated pictures, laid out as the authors' programs do:
            ``related_image/{subset}/{image_info_id}/*.png`` (I-Gen), ``r_gen/image/{subset}/{sid}.png`` (R-Gen),
            ``coe_gen_merge/image/{subset}/{model}/{uid}/scenario_{0..2}.png`` (CoE-Gen); ``None``: there are none.
        model: whose scenes CoE-Gen has; ``None``: there is no CoE-Gen.
        rephrasings: most rephrasings an edit.
        seed: of the order of the choices of rationale questions.
    """

    def __init__(
        self,
        tables: RationaleTables,
        generated: str | Path | None = None,
        *,
        model: str | None = None,
        rephrasings: int = 10,
        seed: int = 0,
    ) -> None:
        self.subset, self.model = tables.subset, model
        self.generated = None if generated is None else Path(generated).expanduser()
        self.rephrasings, self.seed = rephrasings, seed
        self.dropped: Counter[str] = Counter()
        self._variants = {key_of(row, "uid"): _texts(row.get("variants")) for row in tables.rephrasings()}
        self._captions: dict[str, dict[str, Any]] = {}
        for row in tables.captions():
            self._captions.setdefault(str(row.get("image_path")), row)  # the authors too take the first of several
        self._questions: dict[str, list[RationaleQuestion]] = {}
        for row in tables.rationale_questions():
            try:
                self._questions.setdefault(key_of(row, "uid"), []).append(_rationale_question(row))
            except RecordError as error:
                self.dropped[str(error)] += 1
        self._scenarios = {key_of(row, "uid"): row for row in tables.scenarios(model)}

    def extras(self, record_id: str, row: dict[str, Any]) -> dict[str, Any]:
        """The benchmark's texts for a record, for those who make the pictures."""
        caption = self._captions.get(str(row.get("image_path")), {})
        scene = self._scenarios.get(record_id, {})
        return {
            "caption": caption.get("caption"),
            "image_info_id": caption.get("image_info_id"),
            "rephrasings": tuple(self._variants.get(record_id, ())),
            "rationale_questions": tuple(asdict(item) for item in self._questions.get(record_id, ())),
            "scenarios": tuple(
                scene[f"scenario_{place}"] for place in (1, 2, 3) if isinstance(scene.get(f"scenario_{place}"), str)
            ),
        }

    def notes(self) -> list[str]:
        """What the benchmark has, one line, and one for each reason for which something of it was left out."""
        rationale = sum(map(len, self._questions.values()))
        scenes = "no scenes" if self.model is None else f"scenes of {self.model} for {len(self._scenarios):,}"
        return [
            f"rephrasings of {len(self._variants):,} questions, {rationale:,} rationale questions, "
            f"captions of {len(self._captions):,} pictures, {scenes}; generated pictures: {self.generated or 'none'}",
            *(f"{count:,} rationale questions left out: {why}" for why, count in sorted(self.dropped.items())),
        ]

    def t_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The edited question in other words, on the edit's picture."""
        variants = list(dict.fromkeys(self._variants.get(edit.id, ())))[: self.rephrasings]
        return [
            Question(f"{edit.id}-t{place}", edit.image, text, edit.choices, edit.target, "t_gen", edit.id)
            for place, text in enumerate(variants)
        ]

    def i_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The edited question on every generated picture of the same content."""
        folder = self._folder("related_image", self.subset, record.extras.get("image_info_id"))
        pictures = [] if folder is None else sorted(folder.glob("*.png"))
        return [
            Question(f"{edit.id}-i-{path.stem}", image, edit.question, edit.choices, edit.target, "i_gen", edit.id)
            for path in pictures
            if (image := self._image(path)) is not None
        ]

    def r_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The rationale questions whose pictures are there."""
        folder = self._folder("r_gen", "image", self.subset)
        made = []
        for item in self._questions.get(edit.id, ()):
            image = None if folder is None else self._image(folder / f"{item.sid}.png")
            if image is not None:
                mixed = self._mixed(item.sid, item.choices)
                name = f"{edit.id}-r-{item.sid}"
                made.append(Question(name, image, item.question, mixed, mixed.index(item.answer), "r_gen", edit.id))
        return made

    def coe_gen(self, edit: Edit, record: QARecord, error_chain: ErrorChain) -> list[Question]:
        """The edited question on pictures of the benchmark's scenes for ``model``."""
        folder = self._folder("coe_gen_merge", "image", self.subset, self.model, edit.id)
        pictures = [] if folder is None else [folder / f"scenario_{place}.png" for place in range(3)]
        return [
            Question(f"{edit.id}-c-{path.stem}", image, edit.question, edit.choices, edit.target, "coe_gen", edit.id)
            for path in pictures
            if (image := self._image(path)) is not None
        ]

    def contrast(self, edit: Edit, record: QARecord) -> list[Question]:
        """None: the benchmark has no pictures on which another answer is true."""
        return []

    def _folder(self, *parts: str | None) -> Path | None:
        """A folder below the generated pictures; a name of the files may not lead out of it."""
        if self.generated is None or not all(parts) or any(".." in str(part) or "/" in str(part) for part in parts):
            return None
        return self.generated.joinpath(*map(str, parts))

    @staticmethod
    def _image(path: Path) -> ImageRef | None:
        return ImageRef.from_path(path) if path.is_file() else None

    def _mixed(self, sid: str, choices: tuple[str, ...]) -> tuple[str, ...]:
        text = f"rationale choices {self.seed} {sid}"
        seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:8], "big")
        return tuple(choices[place] for place in np.random.default_rng(seed).permutation(len(choices)))


def key_of(row: dict[str, Any], name: str) -> str:
    """An id as text, whether the file holds a text or a number."""
    value = row.get(name)
    return "" if value is None else str(value)


def _texts(value: Any) -> list[str]:
    """Clean texts of a list; of anything else none."""
    listed = value if isinstance(value, (list, tuple)) else []
    return [text for text in (clean_text(item) for item in listed if isinstance(item, str)) if text]


def _rationale_question(row: dict[str, Any]) -> RationaleQuestion:
    """A row of the table, checked.

    Raises:
        RecordError: why it cannot be asked, in words that are the same for all rows of that kind.
    """
    sid, text = key_of(row, "sid"), clean_text(str(row.get("question") or ""))
    if not sid or "/" in sid or ".." in sid:
        raise RecordError("its sid is no name of a file")
    if not text:
        raise RecordError("it has no text")
    options = [option.strip() for option in str(row.get("answers") or "").split("|")]
    try:
        choices, answer, _ = merge_choices(options, options[0])
    except RecordError as error:
        raise RecordError("fewer than two different answers, or no right one") from error
    return RationaleQuestion(sid, text, choices, answer, clean_text(str(row.get("rationale") or "")))
