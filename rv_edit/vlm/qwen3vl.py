"""Qwen3-VL: pictures of any size as packed patches, positions on three axes, deep features added in the decoder.

Three things differ from a plain tower and projector. The vision output has no batch dimension: pictures lie one after
the other and are told apart by their grids. A picture's tokens have rotary positions of time, height and width, and
the text goes on behind the largest. Outputs of some vision blocks are added to the picture's positions behind the
first decoder layers ("deepstack"); a hook on such a layer sees the state before that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from rv_edit.vlm.base import VLM
from rv_edit.vlm.features import ImageFeatures, ImageRow, LayerRef
from rv_edit.vlm.prompts import Prompt, PromptStyle
from rv_edit.vlm.sequences import Prefix

MOST_ELONGATED = 200
"""Ratio of the sides above which the stock image processor refuses a picture."""


class Qwen3VLM(VLM):
    """``Qwen3VLForConditionalGeneration``, for pictures; it keeps no position state between calls."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl",)
    default_style: ClassVar[PromptStyle] = PromptStyle(kind="chat", image_token="<|image_pad|>", yes_no=("Yes", "No"))
    position_axes: ClassVar[tuple[int, ...]] = (3,)

    @classmethod
    def load_processor(cls, name: str, revision: str | None) -> Any:
        """The stock processor without its video part, which cannot be made without torchvision."""
        return image_only_processor().from_pretrained(name, revision=revision, backend="pil")

    def vision_blocks(self) -> nn.ModuleList:
        """``visual.blocks``; block outputs are packed, (patches of all pictures, dv), without a class token."""
        blocks = self._visual.blocks
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def merger_modules(self) -> list[nn.Module]:
        """Those of the deep features, then the one at the tower's end; (tokens of all pictures, d)."""
        return [*self._visual.deepstack_merger_list, self._visual.merger]

    def split_tokens(self, hidden: Tensor, pixels: Mapping[str, Tensor], layer: LayerRef) -> list[Tensor]:
        """Unpacked by the pictures' grids."""
        unit = 1 if layer.block == "vision" else self._merge**2
        return list(hidden.split((pixels["image_grid_thw"].prod(dim=-1) // unit).tolist()))

    def preprocess(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """Packed patches and grids; a picture too elongated for the stock processor is made shorter."""
        return super().preprocess([_bounded(image) for image in images])

    def image_rows(self, pixels: Mapping[str, Tensor]) -> list[ImageRow]:
        """Tokens (N, d); as ``extra`` the ``deep`` features (N, layers, d) and the ``grid`` of tokens (3,)."""
        grids = pixels["image_grid_thw"]
        output = self.model.get_image_features(pixels["pixel_values"], grids, return_dict=True)
        rows = []
        for index, tokens in enumerate(output.pooler_output):
            deep = [features[index] for features in output.deepstack_features]
            stacked = torch.stack(deep, dim=1) if deep else tokens.new_zeros(len(tokens), 0, tokens.shape[-1])
            grid = grids[index] // torch.tensor([1, self._merge, self._merge], device=grids.device)
            # Copies, so that a kept row does not hold the whole batch in memory.
            rows.append(ImageRow(tokens.clone(), {"deep": stacked.clone(), "grid": grid}))
        return rows

    def prefix(self, feats: ImageFeatures, prompts: Sequence[Prompt]) -> list[Prefix]:
        """The template's text with the picture in it, positions on three axes, deep features where the picture is."""
        return [
            self._on_three_axes(prefix, row)
            for prefix, row in zip(super().prefix(feats, prompts), feats.rows, strict=True)
        ]

    def lm_inputs(self, extra: Mapping[str, Tensor]) -> dict[str, Any]:
        """The deep features as the decoder takes them: a mask (B, L), and (picture tokens, d) per layer."""
        if not extra:
            return {}
        mask = extra["picture"]
        return {"visual_pos_masks": mask, "deepstack_visual_embeds": list(extra["deep"][mask].unbind(dim=1))}

    @property
    def _visual(self) -> Any:
        return self.model.get_encoder("image")

    @property
    def _merge(self) -> int:
        return int(self.model.config.vision_config.spatial_merge_size)

    def _on_three_axes(self, prefix: Prefix, row: ImageRow) -> Prefix:
        at, count = prefix.keys.index(self.prompts.image_id), len(row.tokens)
        device = prefix.embeds.device
        axes = [torch.arange(size, device=device) for size in row.extra["grid"].tolist()]
        inside = torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")]) + at
        after = int(inside.max()) + 1 + torch.arange(len(prefix) - at - count, device=device)
        before = torch.arange(at, device=device)
        pos = torch.cat([before.expand(3, -1), inside, after.expand(3, -1)], dim=1)
        picture = torch.zeros(len(prefix), dtype=torch.bool, device=device)
        picture[at : at + count] = True
        features = row.extra["deep"].to(device, prefix.embeds.dtype)
        deep = features.new_zeros(len(prefix), *features.shape[1:])
        deep[picture] = features
        return replace(prefix, pos=pos, next_pos=int(pos.max()) + 1, extra={"picture": picture, "deep": deep})


def image_only_processor() -> Any:
    """The class of the stock processor without videos; made here, since ``transformers`` is imported late."""
    from transformers import Qwen3VLProcessor

    class ImageOnlyQwen3VLProcessor(Qwen3VLProcessor):
        """Tokenizer, image processor and chat template."""

        def __init__(
            self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **_: Any
        ) -> None:
            super().__init__(image_processor, tokenizer, None, chat_template=chat_template)

    return ImageOnlyQwen3VLProcessor


def _bounded(image: Image.Image) -> Image.Image:
    short, long = sorted(image.size)
    if long <= MOST_ELONGATED * short:
        return image
    width, height = (min(side, MOST_ELONGATED * short) for side in image.size)
    return image.resize((width, height))
