"""An InstructBLIP of two hundred thousand random weights, saved as the hub would serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.vlm.tiny_llava import CORPUS, tokenizer

ANSWER_JOINT = " "
"""What stands between prompt and answer where both are tokenised as one string."""


def qformer_tokenizer() -> Any:
    """Like BERT's: lower case, word pieces, ``[CLS]`` and ``[SEP]`` around a text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=specials, show_progress=False)
    )
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, core.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", bos_token="[DEC]", padding_side="right",
    )  # fmt: skip


def build(folder: Path, seed: int = 1, size: int = 32, patch: int = 8, queries: int = 8) -> Path:
    """Write model, tokenizers and processor to ``folder``."""
    from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration, InstructBlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    tok, asking = tokenizer(picture=False), qformer_tokenizer()
    pixels = BlipImageProcessorPil(size={"height": size, "width": size})
    processor = InstructBlipProcessor(pixels, tok, asking, num_query_tokens=queries)  # adds <image> to tok
    config = InstructBlipConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": size,
            "patch_size": patch,
            "initializer_range": 0.02,
        },
        qformer_config={
            "vocab_size": len(asking),
            "hidden_size": 40,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
            "cross_attention_frequency": 2,
            "encoder_hidden_size": 32,
            "pad_token_id": asking.pad_token_id,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(tok),
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "pad_token_id": tok.pad_token_id,
            "bos_token_id": tok.bos_token_id,
            "eos_token_id": tok.eos_token_id,
        },
        num_query_tokens=queries,
        image_token_index=tok.convert_tokens_to_ids("<image>"),
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = InstructBlipForConditionalGeneration(config).eval()
        model.query_tokens.normal_()  # zeros as made: all queries alike
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "embed" not in name:
                weight.mul_(5)  # a fresh one hardly tells two pictures, or two prompts, apart
        model.language_model.lm_head.weight.mul_(2)  # so that log-probabilities differ by more than rounding
    model.generation_config.eos_token_id = tok.eos_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def naive_logits(vlm: Any, image: Any, prompt: str, answer_ids: list[int]) -> torch.Tensor:
    """(T, V) logits of a plain full forward of the stock model on the stock processor's inputs and the answer."""
    inputs = vlm.processor(images=image, text=str(prompt), return_tensors="pt")
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer_ids], dtype=torch.long)], dim=1)
    with torch.no_grad():
        out = vlm.model(
            input_ids=ids, pixel_values=inputs["pixel_values"], attention_mask=torch.ones_like(ids),
            qformer_input_ids=inputs["qformer_input_ids"], qformer_attention_mask=inputs["qformer_attention_mask"],
            use_cache=False,
        )  # fmt: skip
    return out.logits[0].float()
