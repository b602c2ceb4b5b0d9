"""The pocket InstructBLIP before training: the elder's ViT blocks and decoder, and a Q-Former that is new."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rv_edit.pocket.tokenizer import build_tokenizer, image_id
from rv_edit.pocket.training.build import PATCH, PIXEL_MEAN, PIXEL_STD, SIDE_PX, Size
from rv_edit.pocket.training.families import InstructBlip, Llava
from rv_edit.pocket.training.oracle import SIDE

QFORMER_LAYERS, QFORMER_TOKENS = 3, 256


def build_instructblip(elder: Llava, size: Size, seed: int) -> InstructBlip:
    """A ViT with the elder's blocks, a Q-Former with a query a patch, the elder's decoder."""
    from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration, InstructBlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    torch.manual_seed(seed)
    tokenizer, asking = build_tokenizer(), build_tokenizer()
    asking.padding_side = "right"
    images = BlipImageProcessorPil(
        size={"height": SIDE_PX, "width": SIDE_PX}, resample=2, image_mean=PIXEL_MEAN, image_std=PIXEL_STD
    )
    processor = InstructBlipProcessor(images, tokenizer, asking, num_query_tokens=SIDE * SIDE)
    config = InstructBlipConfig(
        vision_config={
            "hidden_size": size.vision_width,
            "intermediate_size": 4 * size.vision_width,
            "num_hidden_layers": size.vision_layers,
            "num_attention_heads": size.vision_heads,
            "image_size": SIDE_PX,
            "patch_size": PATCH,
            "hidden_act": "quick_gelu",
            "initializer_range": 0.02,
        },
        qformer_config={
            "vocab_size": len(asking),
            "hidden_size": size.vision_width,
            "intermediate_size": 3 * size.vision_width,
            "num_hidden_layers": QFORMER_LAYERS,
            "num_attention_heads": size.vision_heads,
            "max_position_embeddings": QFORMER_TOKENS,
            "cross_attention_frequency": 1,
            "encoder_hidden_size": size.vision_width,
            "attention_probs_dropout_prob": 0.0,
            "hidden_dropout_prob": 0.0,
            "pad_token_id": asking.pad_token_id,
        },
        text_config=elder.model.config.text_config.to_dict(),
        num_query_tokens=SIDE * SIDE,
        image_token_index=image_id(tokenizer),
    )
    config.tie_word_embeddings = True
    model = InstructBlipForConditionalGeneration(config)
    model.language_model.load_state_dict(_decoder_of(elder))
    with torch.no_grad():
        model.query_tokens.normal_(std=0.5)
        for module in model.qformer.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(std=module.in_features**-0.5)
        model.language_projection.weight.normal_(std=size.vision_width**-0.5)
        _same_tower(model.vision_model, elder.model.model.vision_tower)
    return InstructBlip(model, processor)


def _decoder_of(elder: Llava) -> dict[str, Tensor]:
    """Of a ``LlamaForCausalLM``."""
    found = {f"model.{name}": value for name, value in elder.decoder.state_dict().items()}
    return {**found, "lm_head.weight": elder.head.weight}


def _same_tower(vit: Any, clip: Any) -> None:
    """CLIP's blocks in a BLIP tower; what CLIP norms in front of them BLIP norms behind."""
    vit.embeddings.class_embedding.copy_(clip.embeddings.class_embedding.view(1, 1, -1))
    vit.embeddings.patch_embedding.weight.copy_(clip.embeddings.patch_embedding.weight)
    vit.embeddings.patch_embedding.bias.zero_()
    vit.embeddings.position_embedding.copy_(clip.embeddings.position_embedding.weight[None])
    for new, old in zip(vit.encoder.layers, clip.encoder.layers, strict=True):
        attention = old.self_attn
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        new.self_attn.qkv.weight.copy_(torch.cat([part.weight for part in parts]))
        new.self_attn.qkv.bias.copy_(torch.cat([part.bias for part in parts]))
        new.self_attn.projection.load_state_dict(attention.out_proj.state_dict())
        new.mlp.load_state_dict(old.mlp.state_dict())
        new.layer_norm1.load_state_dict(old.layer_norm1.state_dict())
        new.layer_norm2.load_state_dict(old.layer_norm2.state_dict())
