"""LLaVA 1.5: a CLIP tower, a two-layer projector, a Llama that reads the projected patches as tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rv_edit.vlm.base import VLM
from rv_edit.vlm.features import ImageFeatures, ImageRow
from rv_edit.vlm.prompts import Prompt, PromptStyle
from rv_edit.vlm.sequences import Prefix


class LlavaVLM(VLM):
    """``LlavaForConditionalGeneration``: picture tokens stand in the prompt and do not depend on it."""

    model_types: ClassVar[tuple[str, ...]] = ("llava",)
    default_style: ClassVar[PromptStyle] = PromptStyle(
        template="USER: <image>\n{q} ASSISTANT:", image_token="<image>", yes_no=("Yes", "No")
    )

    def vision_blocks(self) -> nn.ModuleList:
        """``vision_tower.encoder.layers``; block outputs are (B, 1 + N, dv), the class token first."""
        tower: Any = self.model.get_encoder("image")
        blocks = tower.encoder.layers
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def merger_modules(self) -> list[nn.Module]:
        """The projector, (B, N, d)."""
        return [self.model.base_model.multi_modal_projector]

    def image_rows(self, pixels: Mapping[str, Tensor]) -> list[ImageRow]:
        """Projected patches (N, d) of the layer the checkpoint's configuration names."""
        output = self.model.get_image_features(pixel_values=pixels["pixel_values"], return_dict=True)
        # Copies, so that a kept row does not hold the whole batch in memory.
        return [ImageRow(tokens.clone()) for tokens in output.pooler_output]

    def prefix(self, feats: ImageFeatures, prompts: Sequence[Prompt]) -> list[Prefix]:
        """The template's text with the place holder widened to the picture's tokens."""
        rows = []
        for row, prompt, ids in zip(feats.rows, prompts, self.prompts.encode(prompts), strict=True):
            at = ids.index(self.prompts.image_id) if self.prompts.image_id is not None else 0
            count = len(row.tokens)
            keys = (*ids[:at], *([ids[at]] * count), *ids[at + 1 :])
            self.prompts.check_length(len(keys), prompt)
            before, after = self.embed_tokens(ids[:at]), self.embed_tokens(ids[at + 1 :])
            picture = row.tokens.to(before.device, before.dtype)
            positions = torch.arange(len(keys), device=before.device)
            rows.append(Prefix(keys, torch.cat([before, picture, after]), positions, len(keys)))
        return rows
