"""A VLM that looks at pictures: whether they show what they should, and what a photo without a caption shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_modules.text import clean_text
from rv_edit.benchmark.asking import ask_each
from rv_edit.benchmark.building.memory import free_memory
from rv_edit.benchmark.cache import Row
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

    from rv_edit.vlm import VLM


class VLMHolder:
    """A VLM that is loaded when it is needed and may be dropped in between.

    Args:
        load: loads it.
    """

    def __init__(self, load: Callable[[], VLM]) -> None:
        self._load = load
        self._vlm: VLM | None = None

    def get(self) -> VLM:
        """The model."""
        if self._vlm is None:
            self._vlm = self._load()
        return self._vlm

    def release(self) -> None:
        """Drop it."""
        if self._vlm is not None:
            self._vlm = None
            free_memory()


class VLMChecker:
    """A :class:`~rv_edit.benchmark.building.requests.Checker` from a VLM.

    Args:
        holder: the model.
        model: what it was loaded from, for provenance and keys.
        question: put about each picture, with ``{text}`` in it (appendix B: "Does this image show: {text}?").
        caption_prompt: what gives a caption (appendix B: "Describe this image in a short sentence.").
            Either may be empty where only the other is wanted.
        caption_tokens: most tokens of a caption.
        batch_size: pictures looked at together.

    Raises:
        ConfigError: the question has no place for the text.
    """

    def __init__(
        self,
        holder: VLMHolder,
        model: Mapping[str, Any],
        *,
        question: str,
        caption_prompt: str,
        caption_tokens: int,
        batch_size: int,
    ) -> None:
        if question and "{text}" not in question:
            raise ConfigError(f"task.checker.question={question!r}: it must contain {{text}}")
        self.holder, self.question, self.caption_prompt = holder, question, caption_prompt
        self.caption_tokens, self.batch_size = caption_tokens, batch_size
        self.about = {"kind": "vlm", **model, "question": question}
        self.captioned_by = {"kind": "vlm", **model, "prompt": caption_prompt, "tokens": caption_tokens}

    def load(self) -> None:
        """Load the model, unless it is there."""
        self.holder.get()

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """A short sentence about each picture, cleaned; empty where the model says nothing."""
        vlm = self.holder.get()
        prompts = [vlm.format_prompt(self.caption_prompt)] * len(images)
        texts = vlm.generate(vlm.encode_images(images), prompts, self.caption_tokens, self.batch_size)
        return [clean_text(text) for text in texts]

    def shows(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """P("yes") by softmax over yes and no; not-a-number where the text is longer than the model's positions."""
        vlm = self.holder.get()
        features = vlm.encode_images(images)
        prompts = [vlm.format_prompt(self.question.replace("{text}", text)) for text in texts]

        def ask(part: Sequence[int]) -> list[Row]:
            logp = vlm.yes_no(features.pick(part), [prompts[at] for at in part], batch_size=self.batch_size)
            return [{"p_yes": value} for value in logp.float().softmax(dim=-1)[:, 0].tolist()]

        return [float(row.get("p_yes", math.nan)) for row in ask_each(ask, list(range(len(texts))))]

    def release(self) -> None:
        """Drop the model."""
        self.holder.release()
