"""IKE (paper D.3): what earlier edits say goes before a question, as its words retrieve it.

The paper's unsupervised retriever selects from earlier edits by a sentence encoder; pictures play no part. A sentence
"question – answer" is found by its question, and a query is the question asked: the release puts the gold answer of
the edit into the query, and its harness tells it which edit a question belongs to. Here it is told neither. Every
question gets its ``k`` nearest sentences, the unrelated ones of Loc as well, so that Loc says what sentences that do
not belong do to an answer; ``codebook.gate`` sets a limit beyond which nothing is retrieved, for a variant that
decides on its scope. ``cot=True``, IKE-COT (ours: the paper has none), stores each fact besides, found by its own
words.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn, zeros

from data_modules.records import Answer, Edit, EditReceipt, Question, RecordError
from rv_edit.codebook import Codebook
from rv_edit.editors.answering import Asking, Context, answer_questions
from rv_edit.editors.base import Capabilities, EditorContext
from rv_edit.editors.codebook_editor import CodebookEditor
from rv_edit.editors.option_kinds import check_kinds
from rv_edit.editors.reasonedit import ANSWER_TEMPLATE, check_template
from rv_edit.vlm import PromptTooLongError

if TYPE_CHECKING:
    from rv_edit.embedding import TextEncoder
    from rv_edit.vlm import VLM

MERGING = {"merge": "off"}
"""Sentences of an in-context editor stay apart."""


class IKE(CodebookEditor):
    """Puts the sentences of earlier edits before a question that is worded like theirs.

    Args:
        vlm: the frozen model.
        encoder: embeds questions and facts.
        codebook: options of :class:`Codebook`: ``k``, ``gate``, ….
        asking: how questions are scored and batched.
        cot: a sentence for each fact besides the answer's.
        answer_template: the sentence that states an answer, with ``{question}`` and ``{answer}``.
        calibration_share: share of unrelated questions that ``gate=calibrated`` lets pass.

    Raises:
        ConfigError: an option out of range.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(undo=True, decides_scope=False)

    def __init__(
        self,
        vlm: VLM,
        encoder: TextEncoder,
        codebook: Mapping[str, Any] | None = None,
        *,
        asking: Asking | None = None,
        cot: bool = False,
        answer_template: str = ANSWER_TEMPLATE,
        calibration_share: float = 0.01,
    ) -> None:
        super().__init__(vlm)
        check_template(answer_template)
        self.encoder, self.asking, self.cot = encoder, asking or Asking(), cot
        self.answer_template, self.calibration_share = answer_template, calibration_share
        meaning = {"editor": "ike", "text_encoder": encoder.fingerprint}
        self.codebook = Codebook(encoder.dim, meaning, **{**(codebook or {}), **MERGING})

    @classmethod
    def from_context(cls, context: EditorContext, **options: Any) -> IKE:
        """Build for a run, see :func:`build`."""
        return build(context, **options)

    def edit(self, edit: Edit) -> EditReceipt:
        """Store the answer's sentence; with ``cot`` each fact as well.

        Raises:
            RecordError: the id is taken, or a text cannot be embedded or is longer than the model reads; nothing is
                stored.
        """
        started = time.perf_counter()
        if edit.id in self.edit_ids:
            raise RecordError(f"edit {edit.id}: already made; undo it first, or give it another id")
        edit.image.open()  # a picture that nobody can see would be refused by every other editor
        facts = edit.reasoning if self.cot else ()
        sentence = self.answer_template.format(question=edit.question, answer=edit.answer)
        self._check_length(edit, [sentence, *facts])
        about = {"edit_id": edit.id, "image": edit.image.sha, "question": edit.question, "answer": edit.answer}
        report = self.codebook.insert(
            edit.id,
            self.embed([edit.question, *facts]),
            [sentence, *facts],
            zeros(1 + len(facts)),
            ["answer", *("reasoning" for _ in facts)],
            [about] * (1 + len(facts)),
        )
        return EditReceipt(
            edit.id,
            keys_added=report.added,
            keys_merged=report.merged,
            bytes_added=report.bytes_added,
            seconds=time.perf_counter() - started,
            superseded=", ".join(dict.fromkeys(item.edit_id for item in report.superseded)) or None,
        )

    def embed(self, texts: Sequence[str], exact: bool = True) -> Tensor:
        """(B, d) embeddings of unit length, so that the nearest is the most similar by cosine."""
        return nn.functional.normalize(self.encoder.encode(texts, exact), dim=1)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer each question, the sentences that its words retrieve before it."""
        return answer_questions(self.vlm, questions, self.asking, self._contexts if len(self.codebook) else None)

    def calibrate(self, questions: Sequence[Question]) -> None:
        """Set what ``gate=calibrated`` accepts from questions that no edit concerns; other gates need none."""
        if self.codebook.retrieving.gate == "calibrated":
            self.codebook.calibrate(self.embed([item.text for item in questions]), self.calibration_share)

    def save(self, folder: Path) -> Path:
        """Write ``codebook.safetensors`` and ``codebook.jsonl`` to ``folder``."""
        self.codebook.save(folder)
        return folder

    def load(self, folder: Path) -> None:
        """Take up saved edits; how they are retrieved is as set for this run.

        Raises:
            ConfigError: unreadable, or of another editor or sentence encoder.
        """
        options = {**vars(self.codebook.storing), **vars(self.codebook.retrieving)}
        self.codebook = Codebook.load(folder, expect_fingerprint=self.codebook.fingerprint, **options)

    def _check_length(self, edit: Edit, sentences: Sequence[str]) -> None:
        """Refuse an edit of which a sentence does not even fit before its own question."""
        for sentence in sentences:
            prompt = self.vlm.format_prompt(edit.question, [sentence])
            try:
                self.vlm.prompts.check_length(len(self.vlm.prompts.encode([prompt])[0]), prompt)
            except PromptTooLongError as error:
                raise RecordError(f"edit {edit.id}: {error}") from error

    def _contexts(self, questions: list[Question], pooled: Tensor) -> list[Context]:
        """Retrieve once a question, by its words."""
        found = self.codebook.retrieve(self.embed([question.text for question in questions], exact=False))
        return [
            Context(
                tuple(item.facts) if item.accepted else (),
                tuple(item.distances),
                item.accepted,
                item.threshold,
                tuple(item.fact_distances) if item.accepted else (),
            )
            for item in found
        ]


def build(context: EditorContext, *, text_encoder: str, **options: Any) -> IKE:
    """Build for a run.

    Args:
        context: model, scoring.
        text_encoder: folder, ``package://`` address or hub id of a sentence encoder.
        options: of :class:`IKE` itself.

    Raises:
        ConfigError: an option unknown or out of range.
    """
    from rv_edit.embedding import TextEncoder

    check_kinds("editor", options, IKE.__init__)
    encoder = TextEncoder(text_encoder, device=context.vlm.device)
    return IKE(context.vlm, encoder, asking=context.asking, **options)
