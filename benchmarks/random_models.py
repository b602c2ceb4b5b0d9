"""Models of real size with random weights: what the hub's have in shape, numbers and tokens, without a download.

Depth and width follow ``scale``, so that the same code runs on a small CPU; at 1 the shapes are those of
llava-hf/llava-1.5-7b-hf, Qwen/Qwen3-VL-8B-Instruct and sentence-transformers/paraphrase-mpnet-base-v2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rv_edit.vlm import VLM, known_families
from rv_edit.vlm.fingerprint import of_model, of_settings

PIXELS = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Scale:
    """How much smaller than the real thing: 1 is the real thing."""

    value: float

    def of(self, number: int, least: int = 1) -> int:
        """A number of layers or heads."""
        return max(least, round(number * self.value))


def build(name: str, scale: Scale, device: torch.device, texts: Iterable[str], batch_tokens: int | None) -> VLM:
    """``llava_1_5_7b`` or ``qwen3_vl_8b`` in bf16 on ``device``, with a tokenizer that knows the words of ``texts``."""
    from transformers import AutoModelForImageTextToText

    processor, config = {"llava_1_5_7b": llava, "qwen3_vl_8b": qwen3_vl}[name](scale, list(texts))
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    model = model.eval().requires_grad_(False)
    family = known_families()[config.model_type]
    return family(
        model,
        processor,
        family.default_style,
        name=f"random {name}",
        fingerprint=of_model(model),
        preprocessing=of_settings(processor.image_processor.to_dict()),
        batch_tokens=batch_tokens,
    )


def llava(scale: Scale, texts: list[str]) -> tuple[Any, Any]:
    """Processor and configuration of LLaVA-1.5-7B."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tok = tokenizer(texts, ["<unk>", "<s>", "</s>", "<pad>", "<image>"], bos="<s>", eos="</s>", pad="<pad>")
    heads, seeing = scale.of(32, 2), scale.of(16, 2)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=64 * seeing, intermediate_size=256 * seeing, num_hidden_layers=scale.of(24, 3),
            num_attention_heads=seeing, image_size=336, patch_size=14, projection_dim=768,
        ),
        text_config=LlamaConfig(
            vocab_size=max(len(tok), scale.of(32064)), hidden_size=128 * heads, intermediate_size=344 * heads,
            num_hidden_layers=scale.of(32, 2), num_attention_heads=heads, num_key_value_heads=heads,
            max_position_embeddings=4096, rms_norm_eps=1e-5,
        ),
        image_token_index=tok.convert_tokens_to_ids("<image>"), image_seq_length=576, vision_feature_layer=-2,
    )  # fmt: skip
    side = {"height": 336, "width": 336}
    pixels = CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size=side)
    processor = LlavaProcessor(
        pixels, tok, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return processor, config


def qwen3_vl(scale: Scale, texts: list[str]) -> tuple[Any, Any]:
    """Processor and configuration of Qwen3-VL-8B."""
    from transformers import Qwen3VLConfig
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from rv_edit.vlm.qwen3vl import image_only_processor

    names = ("im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
    specials = ["<|endoftext|>", *(f"<|{name}|>" for name in names)]
    tok = tokenizer([*texts, "user\nassistant\n"], specials, bos=None, eos="<|im_end|>", pad="<|endoftext|>")
    heads, seeing, depth = scale.of(32, 2), scale.of(16, 2), scale.of(27, 4)
    ids = {name: tok.convert_tokens_to_ids(f"<|{name}|>") for name in names}
    config = Qwen3VLConfig(
        vision_config={
            "depth": depth, "hidden_size": 72 * seeing, "intermediate_size": 269 * seeing, "num_heads": seeing,
            "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 128 * heads,
            "num_position_embeddings": 2304,
            "deepstack_visual_indexes": sorted({layer * (depth - 1) // 26 for layer in (8, 16, 24)}),
        },
        text_config={
            "vocab_size": max(len(tok), scale.of(151936)), "hidden_size": 128 * heads,
            "intermediate_size": 384 * heads, "num_hidden_layers": scale.of(36, 4), "num_attention_heads": heads,
            "num_key_value_heads": max(1, heads // 4), "head_dim": 128, "max_position_embeddings": 262144,
            "tie_word_embeddings": False,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20], "mrope_interleaved": True,
            },
        },
        image_token_id=ids["image_pad"], video_token_id=ids["video_pad"], tie_word_embeddings=False,
        vision_start_token_id=ids["vision_start"], vision_end_token_id=ids["vision_end"],
    )  # fmt: skip
    pixels = Qwen2VLImageProcessorPil(
        patch_size=16, temporal_patch_size=2, merge_size=2, size={"shortest_edge": 65536, "longest_edge": 16777216},
        **PIXELS,
    )  # fmt: skip
    return image_only_processor()(pixels, tok, chat_template=CHAT), config


def tokenizer(texts: list[str], specials: list[str], bos: str | None, eos: str, pad: str) -> Any:
    """Byte-level; words of ``texts`` are mostly one token, as common words are to a real one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4000, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator([*texts, *["Yes No yes no USER: ASSISTANT:"] * 9], trainer)
    if bos is not None:
        core.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, core.token_to_id(bos))]
        )
    names = {"bos_token": bos} if bos is not None else {}
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token=eos, pad_token=pad, padding_side="left", **names)


def sentence_encoder(scale: Scale, texts: Iterable[str], folder: Path) -> Path:
    """A folder with an encoder of paraphrase-mpnet-base-v2's shape: MPNet base, mean pooling."""
    from sentence_transformers import SentenceTransformer

    try:
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    except ModuleNotFoundError:  # before 6
        from sentence_transformers.models import Pooling, Transformer
    from transformers import MPNetConfig, MPNetModel

    tok = tokenizer(list(texts), ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], bos="<s>", eos="</s>", pad="<pad>")
    tok.model_max_length, tok.padding_side = 512, "right"
    heads = scale.of(12, 2)
    config = MPNetConfig(
        vocab_size=max(len(tok), scale.of(30527)), hidden_size=64 * heads, num_attention_heads=heads,
        num_hidden_layers=scale.of(12, 2), intermediate_size=256 * heads, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    MPNetModel(config).save_pretrained(folder / "mpnet")
    tok.save_pretrained(folder / "mpnet")
    parts = [Transformer(str(folder / "mpnet"), max_seq_length=512), Pooling(64 * heads, pooling_mode="mean")]
    SentenceTransformer(modules=parts, device="cpu").save(str(folder / "encoder"))
    return folder / "encoder"
