"""A Qwen3-VL of two hundred thousand random weights, with the files that its hub repository has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.vlm.tiny_llava import CORPUS

ANSWER_JOINT = ""
"""What stands between prompt and answer where both are tokenised as one string."""

SPECIALS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer() -> Any:
    """Byte level, without a mark for the start of a text; ChatML's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=560, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    core.train_from_iterator([*CORPUS, "user\nassistant\n"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )


def build(folder: Path, seed: int = 0) -> Path:
    """Write model, tokenizer, image processor, chat template, and a video processor's file, to ``folder``."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tok = tokenizer()
    ids = {
        name: tok.convert_tokens_to_ids(f"<|{name}|>")
        for name in ("image_pad", "video_pad", "vision_start", "vision_end")
    }
    config = Qwen3VLConfig(
        vision_config={
            "depth": 4,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": 48,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 2],
        },
        text_config={
            "vocab_size": len(tok),
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 512,
            "tie_word_embeddings": False,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [4, 2, 2],
                "mrope_interleaved": True,
            },
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration(config).eval()
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "visual" in name:
                weight.mul_(5)  # a fresh tower hardly tells two pictures apart
        model.lm_head.weight.mul_(10)  # so that log-probabilities differ by more than rounding
    model.generation_config.eos_token_id = tok.eos_token_id
    pixels = Qwen2VLImageProcessorPil(
        patch_size=8, temporal_patch_size=2, merge_size=2, size={"shortest_edge": 256, "longest_edge": 4096}
    )
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    pixels.save_pretrained(folder)
    video = {"video_processor_type": "Qwen3VLVideoProcessor", "patch_size": 8, "merge_size": 2}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(video))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": CHAT}))
    return folder


def naive_logits(vlm: Any, image: Any, prompt: str, answer_ids: list[int]) -> torch.Tensor:
    """(T, V) logits of a plain full forward of the stock model on the stock processor's inputs and the answer."""
    inputs = vlm.processor(images=image, text=str(prompt), return_tensors="pt")
    answer = torch.tensor([answer_ids], dtype=torch.long)
    ids = torch.cat([inputs["input_ids"], answer], dim=1)
    with torch.no_grad():
        out = vlm.model(
            input_ids=ids, pixel_values=inputs["pixel_values"], image_grid_thw=inputs["image_grid_thw"],
            mm_token_type_ids=torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(answer)], dim=1),
            attention_mask=torch.ones_like(ids), use_cache=False,
        )  # fmt: skip
    return out.logits[0].float()
