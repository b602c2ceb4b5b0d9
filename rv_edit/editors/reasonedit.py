"""ReasonEdit (paper 3.2, Algorithm 1): an edit becomes codebook entries, a question is asked with what it retrieves.

No weight changes. What a key or a query sees is a picture and a text that the asker already has; the right answer
occurs only in the value of the answer entry.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from data_modules.records import Answer, Box, Edit, EditReceipt, Question, RecordError
from rv_edit.codebook import Codebook, Retrieval
from rv_edit.editors.answering import Asking, Context, answer_questions
from rv_edit.editors.base import Capabilities, EditorContext
from rv_edit.editors.codebook_editor import CodebookEditor
from rv_edit.editors.writing import Written, write_answers
from rv_edit.errors import ConfigError
from rv_edit.evidence import check_crops, cut

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from rv_edit.augment import KeyRadii, RadiusEstimator
    from rv_edit.embedding import DualEmbedding
    from rv_edit.evidence import EvidenceSelector

Crops = Mapping[int, tuple[Box, ...]]
"""Index of a fact -> the parts of the picture that show it."""

ANSWER_TEMPLATE = "The answer to question {question} about the image is {answer}."
"""The value of an answer entry (paper 3.2)."""

REASONING_KEYS = ("patch", "image", "both")


@dataclass(frozen=True)
class Entry:
    """A codebook entry before its key is computed; ``box`` is the part of the picture, ``None`` the whole."""

    kind: str
    text: str
    value: str
    box: Box | None = None
    fact: int | None = None


@dataclass(frozen=True)
class Prepared:
    """An edit before it meets the codebook: its crops, its entries, their keys (m, dim) and radii (m,) on the CPU."""

    crops: Crops
    entries: tuple[Entry, ...]
    keys: Tensor
    radii: Tensor
    seconds: float


class ReasonEdit(CodebookEditor):
    """Stores edits as facts and puts those a question calls for before it.

    Args:
        embedding: φ of picture–text pairs; its VLM answers.
        codebook: empty or loaded, of the key space of ``embedding``.
        radii: makes keys, and measures their radii on augmented variants.
        evidence: finds the crops that show a fact where the user gave none.
        asking: how questions are scored and batched.
        reasoning_keys: ``patch | image | both``: what a fact is paired with; without a crop always the picture.
        answer_template: the sentence that states an answer, with ``{question}`` and ``{answer}``.
        calibration_share: share of unrelated questions that ``gate=calibrated`` lets pass.

    Raises:
        ConfigError: an option out of range.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(undo=True, prepares_ahead=True)

    def __init__(
        self,
        embedding: DualEmbedding,
        codebook: Codebook,
        radii: RadiusEstimator,
        evidence: EvidenceSelector,
        *,
        asking: Asking | None = None,
        reasoning_keys: str = "patch",
        answer_template: str = ANSWER_TEMPLATE,
        calibration_share: float = 0.01,
    ) -> None:
        super().__init__(embedding.vlm)
        if reasoning_keys not in REASONING_KEYS:
            raise ConfigError(f"editor.reasoning_keys={reasoning_keys}; give one of {', '.join(REASONING_KEYS)}")
        check_template(answer_template)
        if not 0 <= calibration_share < 1:
            raise ConfigError(f"editor.calibration_share={calibration_share}; give a share from 0 to below 1")
        self.embedding = embedding
        self.codebook = codebook
        self.radii = radii
        self.evidence = evidence
        self.asking = asking or Asking()
        self.reasoning_keys = reasoning_keys
        self.answer_template = answer_template
        self.calibration_share = calibration_share

    @classmethod
    def from_context(cls, context: EditorContext, **options: Any) -> ReasonEdit:
        """Build for a run; ``options`` are those of ``conf/editor/reasonedit.yaml``.

        Raises:
            ConfigError: an option out of range, or no key space for this model.
        """
        from rv_edit.editors.reasonedit_options import build

        return build(context, **options)

    def edit(self, edit: Edit) -> EditReceipt:
        """Store ``edit``: an answer entry, and for each fact an entry for each of its crops.

        Raises:
            RecordError: the picture cannot be decoded, a crop lies outside it, the id is taken; nothing is stored.
        """
        self._refuse_known(edit)
        return self.insert(edit, self.prepare(edit))

    def prepare(self, edit: Edit) -> Prepared:
        """The evidence, the entries and their keys; the codebook plays no part.

        Raises:
            RecordError: the picture cannot be decoded, or a crop lies outside it.
        """
        started = time.perf_counter()
        image = edit.image.open()
        crops = self.crops(edit, image)
        entries = self.entries(edit, crops)
        measured = self._keys(edit, image, entries)
        keys, radii = measured.keys.cpu(), measured.radii.cpu()
        return Prepared(crops, tuple(entries), keys, radii, time.perf_counter() - started)

    def insert(self, edit: Edit, prepared: Prepared) -> EditReceipt:
        """Store what :meth:`prepare` found.

        Raises:
            RecordError: the id is taken; nothing is stored.
        """
        started = time.perf_counter()
        self._refuse_known(edit)
        report = self.codebook.insert(
            edit.id,
            prepared.keys,
            [entry.value for entry in prepared.entries],
            prepared.radii,
            [entry.kind for entry in prepared.entries],
            [self._provenance(edit, entry) for entry in prepared.entries],
        )
        return EditReceipt(
            edit.id,
            keys_added=report.added,
            keys_merged=report.merged,
            bytes_added=report.bytes_added,
            seconds=prepared.seconds + time.perf_counter() - started,
            evidence=prepared.crops,
            superseded=", ".join(dict.fromkeys(item.edit_id for item in report.superseded)) or None,
        )

    def _refuse_known(self, edit: Edit) -> None:
        if edit.id in self.edit_ids:
            raise RecordError(f"edit {edit.id}: already in the codebook; undo it first, or give it another id")

    def crops(self, edit: Edit, image: Image.Image) -> Crops:
        """The parts of the picture that show each fact: the user's, else those found (paper C, Patchification)."""
        if self.reasoning_keys == "image":
            return check_crops(edit.evidence, edit.reasoning, image.size, edit.id)
        found = self.evidence(image, edit.reasoning, edit.evidence, edit.id)
        return {index: fact.boxes for index, fact in enumerate(found.facts) if fact.boxes}

    def entries(self, edit: Edit, crops: Crops) -> list[Entry]:
        """The entries of an edit, in the order in which they are inserted (paper 3.2, Codebook Construction)."""
        sentence = self.answer_template.format(question=edit.question, answer=edit.answer)
        entries = [Entry("answer", edit.question, sentence)]
        for index, fact in enumerate(edit.reasoning):
            boxes: list[Box | None] = list(crops.get(index, ())) if self.reasoning_keys != "image" else []
            if not boxes or self.reasoning_keys == "both":
                boxes.append(None)
            entries += [Entry("reasoning", fact, fact, box, index) for box in boxes]
        return entries

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer each question, with the facts that its picture and words retrieve (paper 3.2, Inference)."""
        if not len(self.codebook):
            return answer_questions(self.vlm, questions, self.asking)
        return answer_questions(
            self.vlm, questions, self.asking, self.contexts, self.embedding.pool_layer, self.embedding.pooling
        )

    def write(self, questions: Sequence[Question], max_new_tokens: int = 16) -> list[Written]:
        """Answer each question in the model's own words, with the facts that :meth:`answer` would use.

        ``choices`` and ``target`` of the questions are not looked at.
        """
        if not len(self.codebook):
            return write_answers(self.vlm, questions, self.asking, max_new_tokens)
        return write_answers(
            self.vlm,
            questions,
            self.asking,
            max_new_tokens,
            self.contexts,
            self.embedding.pool_layer,
            self.embedding.pooling,
        )

    def retrieve(self, questions: Sequence[Question]) -> list[Retrieval]:
        """What the codebook knows about each question; an early-exit vision pass, and nothing is answered.

        Raises:
            RecordError: a picture cannot be decoded.
        """
        if not questions or not len(self.codebook):
            return self.codebook.retrieve(torch.zeros(len(questions), self.embedding.dim))
        return self.codebook.retrieve(self._queries(questions, exact=False))

    def query_keys(self, questions: Sequence[Question]) -> Tensor:
        """(B, dim) what ``questions`` are looked up with; no rows where the codebook is empty.

        Raises:
            RecordError: a picture cannot be decoded.
        """
        if not questions or not len(self.codebook):
            return torch.zeros(0, self.embedding.dim)
        return self._queries(questions, exact=False)

    def with_codebook(self, codebook: Codebook) -> ReasonEdit:
        """This editor over another codebook of the same key space; model and options are shared."""
        other = copy.copy(self)
        other.codebook = codebook
        return other

    def calibrate(self, questions: Sequence[Question]) -> None:
        """Set what ``gate=calibrated`` accepts from questions that no edit concerns; other gates need none."""
        if self.codebook.retrieving.gate != "calibrated":
            return
        self.codebook.calibrate(self._queries(questions), self.calibration_share)

    def save(self, folder: Path) -> Path:
        """Write ``codebook.safetensors``, ``codebook.jsonl`` and ``key_space.json`` to ``folder``."""
        self.codebook.save(folder)
        self.embedding.key_space.save(folder / "key_space.json")
        return folder

    def load(self, folder: Path) -> None:
        """Take up a saved codebook; its settings of retrieval and merging are those of this run.

        Raises:
            ConfigError: unreadable, or its key space differs from that of this model and encoder.
        """
        options = {**vars(self.codebook.storing), **vars(self.codebook.retrieving)}
        self.codebook = Codebook.load(folder, expect_fingerprint=self.embedding.fingerprint, **options)

    def contexts(self, questions: list[Question], pooled: Tensor) -> list[Context]:
        """Retrieve once a question: whether it is in scope is not asked again while its answer is scored.

        Args:
            questions: on any pictures.
            pooled: (B, dv) the vision block ``embedding.pool_layer`` of their pictures, pooled; not looked at where
                keys are those of a language layer, which reads picture and question together.
        """
        if self.embedding.reads_text:
            queries = self._queries(questions, exact=False)
        else:
            queries = self.embedding.combine(pooled, [question.text for question in questions], exact=False)
        return [
            Context(
                tuple(found.facts) if found.accepted else (),
                tuple(found.distances),
                bool(found.accepted),
                float(found.threshold),
                tuple(found.fact_distances) if found.accepted else (),
            )
            for found in self.codebook.retrieve(queries)
        ]

    def _queries(self, questions: Sequence[Question], exact: bool = True) -> Tensor:
        """(B, dim) from the pictures themselves, each opened once."""
        pictures = {question.image.sha: question.image for question in questions}
        opened = {sha: picture.open() for sha, picture in pictures.items()}
        images = [opened[item.image.sha] for item in questions]
        return self.embedding.keys(images, [item.text for item in questions], exact)

    def _keys(self, edit: Edit, image: Image.Image, entries: Sequence[Entry]) -> KeyRadii:
        """Keys and radii. Only this edit's pictures share a batch, so its bytes do not depend on other edits."""
        parts: dict[Box | None, Image.Image] = {}
        for entry in entries:
            if entry.box not in parts:
                parts[entry.box] = image if entry.box is None else cut(image, entry.box)
        items = [f"{edit.image.sha} {entry.box}" for entry in entries]
        return self.radii([parts[entry.box] for entry in entries], [entry.text for entry in entries], items)

    def _provenance(self, edit: Edit, entry: Entry) -> dict[str, Any]:
        """Where an entry comes from, for people and for supersession; never part of a key."""
        return {
            "edit_id": edit.id,
            "image": edit.image.sha,
            "question": edit.question,
            "answer": edit.answer,
            "fact": entry.fact,
            "box": None if entry.box is None else list(entry.box),
        }


def check_template(template: str) -> None:
    """Raises ConfigError where the sentence that states an answer does not format, or lacks a part."""
    try:
        text = template.format(question="q", answer="a")
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(f"editor.answer_template: {template!r} does not format ({error})") from error
    if "{question}" not in template or "{answer}" not in template:
        raise ConfigError(f"editor.answer_template: {text!r} lacks {{question}} or {{answer}}")
