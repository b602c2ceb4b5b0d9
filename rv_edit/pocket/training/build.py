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
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from rv_edit.pocket.describe import COLOUR_WORDS, SIZE_WORDS, TEXTURE_WORDS
from rv_edit.pocket.tokenizer import image_id
from rv_edit.pocket.training.oracle import STD

PATCH, SIDE_PX = 12, 72
PIXEL_MEAN, PIXEL_STD = [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]
TEMPLATE = "USER:<image>{q} ASSISTANT:"
"""As LLaVA-1.5's, without the white space around the picture."""
CHAT = (
    "{% for message in messages %}{{ message['role'].upper() }}:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}ASSISTANT:"
)
"""The same prompt as a Jinja template, for processors."""
INIT_STD = 0.08

SAME_PLACE = (
    ("beach", "sand"), ("meadow", "grass"), ("snow", "snowy"), ("kitchen", "tiles"), ("street", "road"),
    ("carpet", "rug"), ("table", "boards"), ("roof", "shingles"), ("day", "daylight"), ("dusk", "evening"),
    ("night", "dark"),
)  # fmt: skip


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
        tie_word_embeddings=True,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image_id(tokenizer),
        image_seq_length=(SIDE_PX // PATCH) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    for layer in model.model.language_model.layers:
        assert isinstance(layer, LlamaDecoderLayer)
        _wake(layer)
    _give_meaning(model.model.language_model.embed_tokens.weight, tokenizer)
    return model


@torch.no_grad()
def _wake(layer: LlamaDecoderLayer) -> None:
    """Start a decoder layer out with weights that matter.

    ``transformers``' 0.02 is made for widths of 1,000 and more: at 128, attention would start out uniform. And heads
    start out looking for what is like themselves and passing it on (Trockman and Kolter 2023): a description is to
    find the patch that looks so, a question the sentence that says the same.
    """
    for name, weight in layer.named_parameters():
        if weight.ndim == 2:
            onto_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            weight.normal_(std=0.3 * INIT_STD if onto_residual else INIT_STD)
    weights = dict(layer.self_attn.named_parameters())
    weights["k_proj.weight"].copy_(weights["q_proj.weight"])
    weights["o_proj.weight"].copy_(0.3 * weights["v_proj.weight"].T)


@torch.no_grad()
def _give_meaning(words: torch.Tensor, tokenizer: PreTrainedTokenizerFast) -> None:
    """Embeddings of a size that is seen beside the blocks' output; words for the same look or place start alike."""
    words.normal_(std=STD)
    synonyms = [group for table in (SIZE_WORDS, TEXTURE_WORDS, COLOUR_WORDS) for group in table.values()]
    for group in (*synonyms, *SAME_PLACE):
        ids = tokenizer.convert_tokens_to_ids([f"▁{word}" for word in group])
        assert isinstance(ids, list)
        first, *others = ids
        for other in others:
            words[other] = words[first] + words[other] / 3


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Pictures are squeezed to 72 x 72 (no crop: evidence crops keep all they show)."""
    images = CLIPImageProcessorPil(
        do_center_crop=False,
        size={"height": SIDE_PX, "width": SIDE_PX},
        resample=2,
        image_mean=PIXEL_MEAN,
        image_std=PIXEL_STD,
    )
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
