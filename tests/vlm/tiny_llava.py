"""A LLaVA of a hundred thousand random weights, saved as the hub would serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

ANSWER_JOINT = " "
"""What stands between prompt and answer where both are tokenised as one string."""

CORPUS = [
    "What colour is the cat on the mat?", "The cat is red and the mat is blue.", "Does the image show a small dog?",
    "USER: ASSISTANT: yes no Yes No image", "Describe this image. A striped thing near the lamp on the sand.",
    "The answer to question what is it about the image is a cat.", "red green blue yellow two three four lamp dog cat",
] * 4  # fmt: skip


def tokenizer(picture: bool = True) -> Any:
    """Llama-like: byte fallback, word starts marked by U+2581, ``<s>`` in front; with ``<image>`` if ``picture``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = ["<unk>", "<s>", "</s>", "<pad>", *(["<image>"] if picture else [])]
    byte_tokens = [f"<0x{value:02X}>" for value in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=560, special_tokens=specials + byte_tokens, initial_alphabet=["▁"], show_progress=False
    )
    core.train_from_iterator(CORPUS, trainer)
    # The byte tokens must be in the vocabulary, but not match as literals in text.
    import json

    state = json.loads(core.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in specials]
    core = Tokenizer.from_str(json.dumps(state))
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", core.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        padding_side="left", extra_special_tokens={"image_token": "<image>"} if picture else {},
    )  # fmt: skip


CHAT = (
    "{% for m in messages %}USER: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>\n{% else %}{{ c['text'] }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def build(folder: Path, seed: int = 0, size: int = 32, patch: int = 8, blocks: int = 3, read: int = -2) -> Path:
    """Write model, tokenizer and processor to ``folder``; the projector reads the ``read``-th state of the tower."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tok = tokenizer()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=blocks, num_attention_heads=4,
            image_size=size, patch_size=patch, projection_dim=32,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tok), hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=512, pad_token_id=tok.pad_token_id,
            bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id,
        ),
        image_token_index=tok.convert_tokens_to_ids("<image>"), image_seq_length=(size // patch) ** 2,
        vision_feature_layer=read,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "vision_tower" in name and weight.dim() > 1:
                weight.mul_(3)  # a fresh tower hardly tells two pictures apart
        model.lm_head.weight.mul_(10)  # so that log-probabilities differ by more than rounding
    model.generation_config.eos_token_id = tok.eos_token_id
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size}), tok,
        patch_size=patch, vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=CHAT,
    )  # fmt: skip
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def naive_logits(vlm: Any, image: Any, prompt: str, answer_ids: list[int]) -> torch.Tensor:
    """(T, V) logits of a plain full forward of the stock model on the stock processor's inputs and the answer."""
    inputs = vlm.processor(images=image, text=str(prompt), return_tensors="pt")
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer_ids], dtype=torch.long)], dim=1)
    with torch.no_grad():
        out = vlm.model(
            input_ids=ids, pixel_values=inputs["pixel_values"], attention_mask=torch.ones_like(ids), use_cache=False
        )
    return out.logits[0].float()
