"""The pocket LLaVA before training: a real ``LlavaForConditionalGeneration`` of some 2 million parameters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip import CLIPImageProcessorPil

PATCH, SIDE_PX = 12, 72
TEMPLATE = "USER:<image>{q} ASSISTANT:"
"""As LLaVA-1.5's, without the white space around the picture."""


@dataclass(frozen=True)
class Size:
    """Widths and depths."""

    vision_width: int = 96
    vision_layers: int = 4
    vision_heads: int = 4
    width: int = 128
    layers: int = 6
    heads: int = 4
    mlp: int = 384


def build_llava(tokenizer: PreTrainedTokenizerFast, size: Size, seed: int) -> LlavaForConditionalGeneration:
    """Randomly initialised model of the real class."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=size.vision_width,
        intermediate_size=4 * size.vision_width,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.vision_heads,
        image_size=SIDE_PX,
        patch_size=PATCH,
        projection_dim=size.vision_width,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(SIDE_PX // PATCH) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    return LlavaForConditionalGeneration(config)


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Pictures are squeezed to 72 x 72 (no crop: evidence crops keep all they show)."""
    images = CLIPImageProcessorPil(
        do_center_crop=False,
        size={"height": SIDE_PX, "width": SIDE_PX},
        resample=2,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.25, 0.25, 0.25],
    )
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template="{% for message in messages %}{{ message['role'].upper() }}:{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}ASSISTANT:",
    )
