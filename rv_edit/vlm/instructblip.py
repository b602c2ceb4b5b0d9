"""InstructBLIP: a ViT, a Q-Former that reads the prompt with the picture, a decoder that reads the Q-Former's queries.

What a picture gives by itself are the ViT's tokens; the Q-Former turns them into language tokens anew for each prompt.
The stock processor pads a batch between picture and text, and the Q-Former's text on the wrong side (log-probabilities
off by up to 0.1), so inputs are built here: nothing is padded but the Q-Former's text, on the right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rv_edit.errors import ConfigError
from rv_edit.vlm.base import VLM
from rv_edit.vlm.features import ImageFeatures, ImageRow, LayerRef
from rv_edit.vlm.prompts import Prompt, PromptStyle
from rv_edit.vlm.sequences import Prefix

Ids = tuple[int, ...]


class InstructBlipVLM(VLM):
    """``InstructBlipForConditionalGeneration`` with a decoder-only language model (Vicuna)."""

    model_types: ClassVar[tuple[str, ...]] = ("instructblip",)
    # The picture has no place holder: its tokens come first, before the text's own beginning.
    default_style: ClassVar[PromptStyle] = PromptStyle(
        template="Question: {q} Short answer:", image_token=None, yes_no=("yes", "no")
    )
    merger_reads_text: ClassVar[bool] = True

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        if not model.config.use_decoder_only_language_model:
            text = model.config.text_config.model_type
            raise ConfigError(
                f"{kwargs.get('name', 'model')}: its language model ({text}) has an encoder of its own; "
                "use a checkpoint with a decoder-only one, such as Vicuna"
            )
        super().__init__(model, *args, **kwargs)
        # Where its folder is missing, the library takes the language model's in its place.
        ids = self.processor.qformer_tokenizer.get_vocab().values()
        rows = model.qformer.embeddings.word_embeddings.weight.shape[0]
        if max(ids, default=0) >= rows:
            raise ConfigError(
                f"{self.name}: its qformer_tokenizer knows {max(ids) + 1} tokens, its Q-Former {rows}: the folder "
                "qformer_tokenizer is missing or another checkpoint's; get it again"
            )

    def vision_blocks(self) -> nn.ModuleList:
        """``vision_model.encoder.layers``; block outputs are (B, 1 + N, dv), the class token first."""
        blocks = self.model.vision_model.encoder.layers
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def merger_modules(self) -> list[nn.Module]:
        """The Q-Former's layers, (B, queries + text, dq)."""
        return list(self.model.qformer.encoder.layer)

    @property
    def merger_dim(self) -> int:
        """Width of the Q-Former."""
        return int(self.model.config.qformer_config.hidden_size)

    @property
    def num_queries(self) -> int:
        """Language tokens of a picture."""
        return int(self.model.query_tokens.shape[1])

    def split_tokens(self, hidden: Tensor, pixels: Mapping[str, Tensor], layer: LayerRef) -> Tensor:
        """Of a Q-Former layer the queries alone: they go on to the language model, and the text is padded."""
        return hidden[:, : self.num_queries] if layer.block == "merger" else hidden

    def picture_length(self, row: ImageRow) -> int:
        """The queries, whatever the tower gives."""
        return self.num_queries

    def image_rows(self, pixels: Mapping[str, Tensor]) -> list[ImageRow]:
        """The ViT's normed output (1 + N, dv), which the Q-Former attends to."""
        hidden = self.model.vision_model(pixel_values=pixels["pixel_values"], return_dict=True).last_hidden_state
        # Copies, so that a kept row does not hold the whole batch in memory.
        return [ImageRow(tokens.clone()) for tokens in hidden]

    def prefix(self, feats: ImageFeatures, prompts: Sequence[Prompt]) -> list[Prefix]:
        """The queries, then the text. Equal prompts over one picture pass the Q-Former once."""
        encoded = self.prompts.encode(prompts)
        for prompt, ids in zip(prompts, encoded, strict=True):
            self.prompts.check_length(self.num_queries + len(ids), prompt)
        instructions = self.instruction_ids(prompts)
        pairs = [(id(row), prompt) for row, prompt in zip(feats.rows, prompts, strict=True)]
        first = {pair: item for item, pair in reversed(list(enumerate(pairs)))}
        items = sorted(first.values())
        read = self._queries([feats.rows[item].tokens for item in items], [instructions[item] for item in items])
        queries = dict(zip(items, read, strict=True))
        return [
            self.place(prompt, ids, queries[first[pair]], ("query", instruction))
            for prompt, ids, pair, instruction in zip(prompts, encoded, pairs, instructions, strict=True)
        ]

    def instruction_ids(self, prompts: Sequence[Prompt]) -> list[Ids]:
        """What the Q-Former reads of each prompt: all of it, like the stock processor; special tokens in it are text.

        Of prompts longer than its positions it reads the end, where the question is.
        """
        tokenizer = self.processor.qformer_tokenizer
        room = int(self.model.config.qformer_config.max_position_embeddings) - tokenizer.num_special_tokens_to_add()
        plain = [self._plain_ids(str(prompt)) for prompt in prompts]
        return [self._framed(ids[-room:]) for ids in plain]

    def _plain_ids(self, text: str) -> list[int]:
        encoded = self.processor.qformer_tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )
        ids: list[int] = encoded["input_ids"]
        return ids

    def _framed(self, ids: Sequence[int]) -> Ids:
        """With the special tokens that the Q-Former's tokenizer puts around a text."""
        tokenizer = self.processor.qformer_tokenizer
        frame: list[int] = tokenizer("", verbose=False)["input_ids"]
        return (*frame[:1], *ids, *frame[1:])

    def _queries(self, pictures: Sequence[Tensor], instructions: Sequence[Ids]) -> list[Tensor]:
        """(queries, d) language tokens of each picture as its instruction makes the Q-Former see it."""
        if not pictures:
            return []
        seen = torch.stack([picture.to(self.device) for picture in pictures])
        length = max(map(len, instructions))
        ids = torch.zeros(len(instructions), length, dtype=torch.long, device=self.device)
        mask = torch.zeros(len(instructions), self.num_queries + length, dtype=torch.long, device=self.device)
        for index, instruction in enumerate(instructions):
            ids[index, : len(instruction)] = torch.tensor(instruction, device=self.device)
            mask[index, : self.num_queries + len(instruction)] = 1
        output = self.model.qformer(
            input_ids=ids,
            attention_mask=mask,
            query_embeds=self.model.query_tokens.expand(len(pictures), -1, -1),
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=self.device),
            return_dict=True,
        )
        hidden = output.last_hidden_state[:, : self.num_queries]
        return list(self.model.language_projection(hidden))
