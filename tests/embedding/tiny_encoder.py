"""A sentence-transformers model built offline: a small BERT with random weights, mean pooling, unit length."""

from __future__ import annotations

import string
from pathlib import Path

import torch


def build_encoder(folder: Path, hidden: int = 32, seed: int = 0, normalize: bool = True) -> Path:
    """Write a sentence encoder to ``folder / "encoder"`` and return that folder."""
    from sentence_transformers import SentenceTransformer

    try:
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    except ModuleNotFoundError:  # before 6
        from sentence_transformers.models import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,?!'", *string.ascii_lowercase, *string.digits]
    words += [f"##{char}" for char in string.ascii_lowercase + string.digits]
    words += [
        "the",
        "a",
        "is",
        "of",
        "what",
        "on",
        "left",
        "red",
        "dog",
        "cat",
        "cup",
        "used",
        "for",
        "answer",
        "image",
    ]
    tokenizer = BertTokenizerFast(vocab={word: place for place, word in enumerate(words)}, model_max_length=64)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        bert = BertModel(config)
    base = folder / "bert"
    bert.save_pretrained(base)
    tokenizer.save_pretrained(base)
    modules: list[torch.nn.Module] = [Transformer(str(base), max_seq_length=64), Pooling(hidden, pooling_mode="mean")]
    if normalize:
        modules.append(Normalize())
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "encoder"))
    return folder / "encoder"
