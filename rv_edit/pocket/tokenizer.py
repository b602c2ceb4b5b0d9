"""The tokenizer of the pocket VLMs: whole words where the world knows them, letters where it does not.

A uni-gram model over given pieces, uncased, with byte fallback, in the manner of LLaMA's tokenizer: a space
becomes ``▁`` at the start of the next word, so pieces of a prompt can be tokenised apart and joined.
"""

from __future__ import annotations

import string

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from rv_edit.pocket.words import vocabulary

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>")
PUNCTUATION = ".,?!:;'\"()-+/%&<>_"
_WORD, _LETTER, _BYTE = -1.0, -4.0, -20.0


def image_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The id that stands for one token of the picture."""
    found = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(found, int)
    return found


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer; the same pieces, in the same order, every time."""
    # A score that never wins: text a user writes as "<image>" is spelled, and stays text.
    pieces: list[tuple[str, float]] = [(token, -1000.0) for token in SPECIAL]
    pieces += [(f"▁{word}", _WORD) for word in vocabulary()]
    seen = {piece for piece, _ in pieces}
    for char in (*string.ascii_lowercase, *string.digits, *PUNCTUATION):
        pieces += [(piece, _LETTER) for piece in (char, f"▁{char}") if piece not in seen]
    pieces += [("▁", _LETTER), ("\n", _LETTER)]
    pieces += [(f"<0x{byte:02X}>", _BYTE) for byte in range(256)]
    core = Tokenizer(models.Unigram(pieces, unk_id=SPECIAL.index("<unk>"), byte_fallback=True))
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    spaces, no_first_space = decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)
    core.decoder = decoders.Sequence([spaces, decoders.ByteFallback(), decoders.Fuse(), no_first_space])
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", SPECIAL.index("<s>"))])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=2048,
    )
