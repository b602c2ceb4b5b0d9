"""LLaVA 1.5: a CLIP tower, a two-layer projector, a Llama that reads the projected patches as tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from rv_edit.vlm.base import VLM
from rv_edit.vlm.features import ImageRow
from rv_edit.vlm.prompts import PromptStyle


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
