"""What training needs of a VLM, family by family: how it looks at pictures and where its parts are.

All per-patch tensors are packed: pictures one after the other, (patches of all pictures, width).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from rv_edit.pocket.training.layout import Grid, Layout
from rv_edit.pocket.training.oracle import SIDE
from rv_edit.pocket.training.packing import Speller

HEAD, TAIL = "USER:", "ASSISTANT:"


@dataclass
class Seen:
    """Features that labels are read off (patches, width), and what :meth:`Family.tokens` makes tokens of."""

    patches: Tensor
    state: Any


@dataclass
class Tokens:
    """Picture tokens (tokens of all pictures, d), and what is added behind the first decoder layers."""

    tokens: Tensor
    deep: list[Tensor] = field(default_factory=list)


class Family(ABC):
    """A model in training.

    Args:
        model: of the family's class.
        processor: its own.
        spell: tokenises words.
    """

    model_type: ClassVar[str]
    tower: ClassVar[str]
    """Part of the names of the vision tower's weights."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor
        self.tokenizer: PreTrainedTokenizerFast = processor.tokenizer
        self.spell = Speller(self.tokenizer)

    @property
    def decoder(self) -> Any:
        """The language model's backbone."""
        return self.model.get_decoder()

    @property
    def head(self) -> Any:
        """Hidden states to logits."""
        return self.model.get_output_embeddings()

    @property
    @abstractmethod
    def patch_width(self) -> int:
        """Width of :attr:`Seen.patches`."""

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """Of its prompts."""

    @property
    @abstractmethod
    def sight(self) -> list[nn.Module]:
        """Everything between pixels and picture tokens."""

    @abstractmethod
    def see(self, pixels: dict[str, Tensor]) -> Seen:
        """The vision tower."""

    @abstractmethod
    def tokens(self, seen: Seen, owner: Sequence[int], instructions: Sequence[Sequence[int]]) -> Tokens:
        """Picture tokens of rows, given whose picture each shows and what it asks."""

    def grids(self, pixels: dict[str, Tensor]) -> list[Grid]:
        """Rows and columns of each picture's tokens."""
        return [(SIDE, SIDE)] * len(pixels["pixel_values"])

    def pixels(self, pictures: list[Image.Image]) -> dict[str, Tensor]:
        """As the model takes them."""
        return dict(self.processor.image_processor(pictures, return_tensors="pt"))

    def lm_inputs(self, packed_at: Tensor, tokens: Tokens) -> dict[str, Any]:
        """Further arguments of the decoder; ``packed_at`` (B, T) marks the picture's tokens."""
        return {}

    def _layout(self, before: Sequence[int], after: Sequence[int], image_id: int, **flags: bool) -> Layout:
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        assert isinstance(bos, int) and isinstance(eos, int)
        return Layout(tuple(before), tuple(after), tuple(self.spell(TAIL)), image_id, eos, bos, **flags)

    def _start(self) -> list[int]:
        bos = self.tokenizer.bos_token_id
        assert isinstance(bos, int)
        return [bos, *self.spell(HEAD)]


class Llava(Family):
    """The elder: its decoder and its picture tokens are what the others begin with."""

    model_type = "llava"
    tower = "vision_tower"

    @property
    def patch_width(self) -> int:
        """Of the tower."""
        return int(self.model.config.vision_config.hidden_size)

    @property
    def layout(self) -> Layout:
        """``<s> USER: <picture> question ASSISTANT:``."""
        return self._layout(self._start(), (), self.model.config.image_token_index)

    @property
    def sight(self) -> list[nn.Module]:
        """Tower and projector."""
        return [self.model.model.vision_tower, self.model.model.multi_modal_projector]

    def see(self, pixels: dict[str, Tensor]) -> Seen:
        """Patches without the class token."""
        seen = self.model.model.vision_tower(pixels["pixel_values"]).last_hidden_state[:, 1:]
        return Seen(seen.flatten(0, 1), seen)

    def tokens(self, seen: Seen, owner: Sequence[int], instructions: Sequence[Sequence[int]]) -> Tokens:
        """Projected patches."""
        return Tokens(self.model.model.multi_modal_projector(seen.state)[list(owner)].flatten(0, 1))


class InstructBlip(Family):
    """A ViT, a Q-Former with a query a patch, the elder's decoder."""

    model_type = "instructblip"
    tower = "vision_model"

    @property
    def patch_width(self) -> int:
        """Of the ViT."""
        return int(self.model.config.vision_config.hidden_size)

    @property
    def layout(self) -> Layout:
        """``<picture> <s> USER: question ASSISTANT:``; the Q-Former reads the text as well."""
        return self._layout((), self._start(), self.model.config.image_token_index, instructs=True)

    @property
    def sight(self) -> list[nn.Module]:
        """ViT, Q-Former and projection."""
        return [self.model.vision_model, self.model.qformer, self.model.language_projection]

    def see(self, pixels: dict[str, Tensor]) -> Seen:
        """Normed patches; the class token stays in the state, which the Q-Former attends to."""
        seen = self.model.vision_model(pixel_values=pixels["pixel_values"]).last_hidden_state
        return Seen(seen[:, 1:].flatten(0, 1), seen)

    def tokens(self, seen: Seen, owner: Sequence[int], instructions: Sequence[Sequence[int]]) -> Tokens:
        """The queries, after the Q-Former has read picture and instruction."""
        room = self.model.config.qformer_config.max_position_embeddings - 1
        texts = [torch.tensor([one[0], *one[1:][-room:]]) for one in instructions]
        ids = nn.utils.rnn.pad_sequence(texts, batch_first=True)
        told = nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in texts], batch_first=True)
        queries = self.model.query_tokens.expand(len(owner), -1, -1)
        picture = seen.state[list(owner)]
        read = self.model.qformer(
            input_ids=ids,
            attention_mask=torch.cat([torch.ones(queries.shape[:2], dtype=torch.long), told], dim=1),
            query_embeds=queries,
            encoder_hidden_states=picture,
            encoder_attention_mask=torch.ones(picture.shape[:2], dtype=torch.long),
        ).last_hidden_state[:, : queries.shape[1]]
        return Tokens(self.model.language_projection(read).flatten(0, 1))


class Qwen3VL(Family):
    """Small patches merged two by two, pictures in their own shape, positions on three axes, deep features."""

    model_type = "qwen3_vl"
    tower = "visual"

    @property
    def _merge(self) -> int:
        return int(self.model.config.vision_config.spatial_merge_size)

    @property
    def patch_width(self) -> int:
        """Of all the patches that one token is merged from."""
        return int(self.model.config.vision_config.hidden_size) * self._merge**2

    @property
    def layout(self) -> Layout:
        """``<s> USER: <|vision_start|> <picture> <|vision_end|> question ASSISTANT:``."""
        config = self.model.config
        before = [*self._start(), config.vision_start_token_id]
        return self._layout(before, [config.vision_end_token_id], config.image_token_id, axes=True)

    @property
    def sight(self) -> list[nn.Module]:
        """Tower with its mergers."""
        return [self.model.model.visual]

    def grids(self, pixels: dict[str, Tensor]) -> list[Grid]:
        """As the image processor's resizing gives them: about as many tokens whatever the shape."""
        return [(int(high) // self._merge, int(wide) // self._merge) for _, high, wide in pixels["image_grid_thw"]]

    def see(self, pixels: dict[str, Tensor]) -> Seen:
        """Patches before merging, those of a token side by side."""
        out = self.model.model.visual(pixels["pixel_values"], grid_thw=pixels["image_grid_thw"])
        sizes = (pixels["image_grid_thw"].prod(-1) // self._merge**2).tolist()
        state = [list(one.split(sizes)) for one in (out.pooler_output, *out.deepstack_features)]
        return Seen(out.last_hidden_state.reshape(-1, self.patch_width), state)

    def tokens(self, seen: Seen, owner: Sequence[int], instructions: Sequence[Sequence[int]]) -> Tokens:
        """Merged patches, and the deep features of as many decoder layers."""
        first, *deep = [torch.cat([split[row] for row in owner]) for split in seen.state]
        return Tokens(first, deep)

    def lm_inputs(self, packed_at: Tensor, tokens: Tokens) -> dict[str, Any]:
        """Deep features and where they go."""
        return {"visual_pos_masks": packed_at, "deepstack_visual_embeds": tokens.deep}
