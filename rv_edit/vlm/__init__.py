"""Vision-language models behind one interface; a family (LLaVA, …) is one file of this package.

Loading, looking and scoring::

    vlm = load_vlm("llava-hf/llava-1.5-7b-hf", device="cuda", dtype="bfloat16")
    feats = vlm.encode_images([image])
    vlm.score(feats, [vlm.format_prompt("What is it?")], [["a cat", "a dog"]])
    # [Scores(logp=(-1.2, -3.4), n_tokens=(2, 2))]
"""

from __future__ import annotations

from rv_edit.vlm.base import VLM
from rv_edit.vlm.decoding import HookContext
from rv_edit.vlm.features import ImageFeatures, LayerRef
from rv_edit.vlm.loading import known_families, load_vlm, resolve_checkpoint
from rv_edit.vlm.probing import probe_layers
from rv_edit.vlm.prompts import Prompt, PromptStyle, PromptTooLongError, Target
from rv_edit.vlm.scoring import Scores

__all__ = [
    "VLM",
    "HookContext",
    "ImageFeatures",
    "LayerRef",
    "Prompt",
    "PromptStyle",
    "PromptTooLongError",
    "Scores",
    "Target",
    "known_families",
    "load_vlm",
    "probe_layers",
    "resolve_checkpoint",
]
