"""Stable Diffusion 3 and FLUX of ``diffusers`` with small random weights, saved as the hub would serve them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

WORDS = ("a", "cat", "dog", "red", "on", "the", "mat", "is", "lamp", ".")


def _clip_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(97, 123)] + list(".,?!'0123456789")
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocab = {token: place for place, token in enumerate(tokens)}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=77)


def _t5_tokenizer() -> Any:
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -3.0) for word in WORDS] + [(chr(code), -5.0) for code in range(97, 123)]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=77)


def _clip(size: int, tokenizer: Any, projected: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=size, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        projection_dim=size, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def _t5(size: int, tokenizer: Any) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(vocab_size=len(tokenizer), d_model=size, d_kv=8, d_ff=37, num_layers=2, num_heads=4))


def _vae(latent: int) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        sample_size=32, in_channels=3, out_channels=3, block_out_channels=(4,), layers_per_block=1,
        latent_channels=latent, norm_num_groups=1, use_quant_conv=False, use_post_quant_conv=False,
        shift_factor=0.0609, scaling_factor=1.5035,
    )  # fmt: skip


def build_sd3(folder: Path, seed: int = 0) -> Path:
    """Write a :class:`StableDiffusion3Pipeline` to ``folder``."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    tokenizer, t5 = _clip_tokenizer(folder / "raw"), _t5_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = StableDiffusion3Pipeline(
            transformer=SD3Transformer2DModel(
                sample_size=32, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
                joint_attention_dim=32, caption_projection_dim=32, pooled_projection_dim=64, out_channels=4,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=_vae(4),
            text_encoder=_clip(32, tokenizer, True), tokenizer=tokenizer,
            text_encoder_2=_clip(32, tokenizer, True), tokenizer_2=tokenizer,
            text_encoder_3=_t5(32, t5), tokenizer_3=t5,
        )  # fmt: skip
    pipeline.save_pretrained(folder / "sd3")
    return folder / "sd3"


def build_flux(folder: Path, seed: int = 0) -> Path:
    """Write a :class:`FluxPipeline` to ``folder``."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    tokenizer, t5 = _clip_tokenizer(folder / "raw"), _t5_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = FluxPipeline(
            transformer=FluxTransformer2DModel(
                patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
                num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
                guidance_embeds=True,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=_vae(1),
            text_encoder=_clip(32, tokenizer, False), tokenizer=tokenizer,
            text_encoder_2=_t5(32, t5), tokenizer_2=t5,
        )  # fmt: skip
    pipeline.save_pretrained(folder / "flux")
    return folder / "flux"
