"""The pocket Qwen3-VL before training: a tower of its own, and the elder's decoder with norms of queries and keys."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from rv_edit.pocket.tokenizer import build_tokenizer
from rv_edit.pocket.training.build import CHAT, PATCH, PIXEL_MEAN, PIXEL_STD, SIDE_PX, Size
from rv_edit.pocket.training.families import Llava, Qwen3VL
from rv_edit.pocket.training.oracle import SIDE

SPECIAL = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")


def build_qwen3vl(elder: Llava, size: Size, seed: int) -> Qwen3VL:
    """Patches of half the elder's side merged two by two; the elder's decoder, with norms of queries and keys."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from rv_edit.vlm.qwen3vl import image_only_processor

    torch.manual_seed(seed)
    tokenizer = qwen_tokenizer()
    area = SIDE_PX * SIDE_PX
    images = Qwen2VLImageProcessorPil(
        patch_size=PATCH // 2,
        temporal_patch_size=2,
        merge_size=2,
        size={"shortest_edge": area, "longest_edge": area},
        resample=2,
        image_mean=PIXEL_MEAN,
        image_std=PIXEL_STD,
    )
    chat = CHAT.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
    processor = image_only_processor()(images, tokenizer, chat_template=chat)
    ids = dict(tokenizer.get_vocab())
    half = size.width // size.heads // 2  # frequencies of a head, shared out among time, height and width
    config = Qwen3VLConfig(
        vision_config={
            "depth": size.vision_layers,
            "hidden_size": size.vision_width,
            "intermediate_size": 4 * size.vision_width,
            "num_heads": size.vision_heads,
            "patch_size": PATCH // 2,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": size.width,
            "num_position_embeddings": (2 * SIDE) ** 2,
            "deepstack_visual_indexes": [size.vision_layers - 2],
        },
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": size.width,
            "intermediate_size": size.mlp,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.heads,
            "head_dim": size.width // size.heads,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": True,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [half // 4, 3 * half // 8, 3 * half // 8],
                "mrope_interleaved": True,
            },
        },
        image_token_id=ids[SPECIAL[0]],
        video_token_id=ids[SPECIAL[1]],
        vision_start_token_id=ids[SPECIAL[2]],
        vision_end_token_id=ids[SPECIAL[3]],
        tie_word_embeddings=True,
    )
    model = Qwen3VLForConditionalGeneration(config)
    with torch.no_grad():
        _take(model.model.language_model, elder)
        for merger in model.model.visual.deepstack_merger_list:
            merger.linear_fc2.weight.zero_()  # nothing is added behind the first layers until that helps
            merger.linear_fc2.bias.zero_()
        for name, weight in model.model.visual.named_parameters():
            if weight.ndim == 2 and "deepstack" not in name:
                weight.normal_(std=weight.shape[1] ** -0.5)
    return Qwen3VL(model, processor)


def _take(decoder: Any, elder: Llava) -> None:
    """Copy every weight that has a place; norms of queries and keys start at the elder's usual length of them."""
    old = elder.decoder.state_dict()
    words = old.pop("embed_tokens.weight")
    decoder.embed_tokens.weight[: len(words)] = words
    decoder.embed_tokens.weight[len(words) :].normal_(std=float(words.std()))
    unplaced = decoder.load_state_dict(old, strict=False).unexpected_keys
    assert not unplaced, unplaced
    lengths = _usual_lengths(elder)
    for layer, (query, key) in zip(decoder.layers, lengths, strict=True):
        layer.self_attn.q_norm.weight.fill_(query)
        layer.self_attn.k_norm.weight.fill_(key)


def _usual_lengths(elder: Llava) -> list[tuple[float, float]]:
    """Root mean square of the elder's queries and keys, layer by layer, on a text."""
    ids = torch.tensor([elder.spell("The answer to question What is the small red thing near the lamp? is a mug.")])
    found: dict[int, list[float]] = {}
    hooks = [
        part.register_forward_hook(
            lambda _, __, out, at=at: found.setdefault(at, []).append(float(out.square().mean().sqrt()))
        )
        for at, layer in enumerate(elder.decoder.layers)
        for part in (layer.self_attn.q_proj, layer.self_attn.k_proj)
    ]
    elder.decoder(input_ids=ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    return [(found[at][0], found[at][1]) for at in sorted(found)]


def qwen_tokenizer() -> PreTrainedTokenizerFast:
    """The pocket tokenizer with the family's special tokens behind its own, so that words keep their ids."""
    tokenizer = build_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    tokenizer.image_token, tokenizer.video_token = SPECIAL[:2]
    return tokenizer
