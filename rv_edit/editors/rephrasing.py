"""Other words for an edit's question, where an editor measures how far a rewording moves its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.codebook.entries import normal_form
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.vlm import VLM, ImageFeatures

HOW = ("frames", "model")


class Rephraser:
    """Rewords questions: by the VLM itself, or by frames of words around them.

    ``model`` asks the VLM, as BalancEdit's authors do; where it gives nothing, or the question back, the frames serve.
    A VLM that was only taught to answer gives an answer instead of a question, so for such a one choose ``frames``.

    Args:
        vlm: the frozen model.
        how: ``frames | model``.
        frames: texts with ``{question}``.
        instruction: what the model is told, with ``{question}``.
        max_new_tokens: length of what it writes.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        vlm: VLM,
        how: str = "frames",
        frames: Sequence[str] = ("Please tell me: {question}",),
        instruction: str = "{question}",
        max_new_tokens: int = 64,
    ) -> None:
        if how not in HOW:
            raise ConfigError(f"editor.rephrase.how={how}: give one of {', '.join(HOW)}")
        texts = [frames] if isinstance(frames, str) else list(frames)
        if not texts or any("{question}" not in str(text) for text in [*texts, instruction]):
            raise ConfigError("editor.rephrase: give at least one frame, and {question} in each and in the instruction")
        if max_new_tokens < 1:
            raise ConfigError(f"editor.rephrase.max_new_tokens={max_new_tokens}: give at least 1")
        self.vlm, self.how, self.frames = vlm, how, [str(text) for text in texts]
        self.instruction, self.max_new_tokens = instruction, max_new_tokens

    def __call__(self, feats: ImageFeatures, question: str) -> tuple[list[str], str]:
        """Rewordings of ``question`` about one picture, and where they come from: ``frames`` or ``model``."""
        if self.how == "model":
            asked = self.vlm.format_prompt(self.instruction.replace("{question}", question))
            (made,) = self.vlm.generate(feats, [asked], self.max_new_tokens)
            text = " ".join(made.split())
            if normal_form(text) not in ("", normal_form(question)):
                return [text], "model"
        return [frame.replace("{question}", question) for frame in self.frames], "frames"
