"""Hidden states of a VLM, pooled inside forward hooks: one pass, whatever the number of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn

from rv_edit.errors import ConfigError
from rv_edit.vlm.batching import fitting, lengths
from rv_edit.vlm.decoding import run
from rv_edit.vlm.features import ImageFeatures, ImageRow, LayerRef, pool_tokens, run_until, watch
from rv_edit.vlm.prompts import Prompt
from rv_edit.vlm.sequences import Batch

if TYPE_CHECKING:
    from rv_edit.vlm.base import VLM


def layer_refs(vlm: VLM) -> tuple[LayerRef, ...]:
    """Vision blocks, merger modules and decoder layers, in the order in which they run."""
    return tuple(_modules(vlm))


def _modules(vlm: VLM) -> dict[LayerRef, nn.Module]:
    names = {id(module): name for name, module in vlm.model.named_modules()}
    width = int(vlm.text_config.hidden_size)
    parts: list[tuple[str, Sequence[nn.Module], int, bool]] = [
        ("vision", list(vlm.vision_blocks()), vlm.vision_dim, False),
        ("merger", vlm.merger_modules(), vlm.merger_dim, vlm.merger_reads_text),
        ("language", list(vlm.lm_layers()), width, True),
    ]
    return {
        LayerRef(block, index, names[id(module)], dim, reads_text): module
        for block, modules, dim, reads_text in parts
        for index, module in enumerate(modules)
    }


def vision_ref(vlm: VLM, layer: int) -> LayerRef:
    """The reference of vision block ``layer``, from 0.

    Raises:
        ConfigError: no such block.
    """
    count = vlm.num_vision_layers
    if not 0 <= layer < count:
        raise ConfigError(f"vision layer {layer}: {vlm.name} has layers 0 to {count - 1}")
    return next(ref for ref in _modules(vlm) if ref.block == "vision" and ref.index == layer)


@torch.no_grad()
def vision_pass(
    vlm: VLM, images: Sequence[Image.Image], refs: Sequence[LayerRef], pool: str, batch_size: int
) -> tuple[list[ImageRow], dict[LayerRef, Tensor]]:
    """Features of pictures, and (B, D) fp32 for each layer that runs on pictures alone."""
    modules = _modules(vlm) if refs else {}
    rows: list[ImageRow] = []
    seen: dict[LayerRef, list[Tensor]] = {ref: [] for ref in refs}
    for start in range(0, len(images), batch_size):
        pixels = vlm.preprocess(images[start : start + batch_size])

        def see(ref: LayerRef, hidden: Tensor, pixels: dict[str, Tensor] = pixels) -> None:
            seen[ref].append(pool_tokens(vlm.split_tokens(hidden, pixels, ref), pool))

        with watch({ref: modules[ref] for ref in refs}, see):
            rows.extend(vlm.image_rows(pixels))
    return rows, {ref: torch.cat(parts) for ref, parts in seen.items() if parts}


def encode_images(
    vlm: VLM, images: Sequence[Image.Image], pool_layers: Sequence[int], pool: str, batch_size: int
) -> ImageFeatures:
    """See :meth:`rv_edit.vlm.VLM.encode_images`."""
    refs = [vision_ref(vlm, layer) for layer in dict.fromkeys(pool_layers)]
    rows, pooled = vision_pass(vlm, images, refs, pool, batch_size)
    return ImageFeatures(
        tuple(
            replace(row, pooled={ref.index: pooled[ref][index].clone() for ref in refs})
            for index, row in enumerate(rows)
        )
    )


@torch.no_grad()
def embed_vision(vlm: VLM, images: Sequence[Image.Image], layer: int, pool: str, batch_size: int) -> Tensor:
    """See :meth:`rv_edit.vlm.VLM.embed_vision`."""
    ref = vision_ref(vlm, layer)
    block = vlm.vision_blocks()[layer]
    parts = [torch.zeros(0, vlm.vision_dim, device=vlm.device)]
    for start in range(0, len(images), batch_size):
        pixels = vlm.preprocess(images[start : start + batch_size])
        hidden = run_until(block, lambda pixels=pixels: vlm.image_rows(pixels))  # type: ignore[misc]
        parts.append(pool_tokens(vlm.split_tokens(hidden, pixels, ref), pool).to(vlm.device))
    return torch.cat(parts)


@torch.no_grad()
def embed_layers(
    vlm: VLM,
    images: Sequence[Image.Image],
    texts: Sequence[str],
    refs: Sequence[LayerRef] | None,
    pool: str,
    batch_size: int,
) -> dict[LayerRef, Tensor]:
    """See :meth:`rv_edit.vlm.VLM.embed_layers`."""
    if len(images) != len(texts):
        raise ValueError(f"{len(images)} pictures for {len(texts)} texts")
    modules = _modules(vlm)
    wanted = tuple(modules) if refs is None else tuple(refs)
    for ref in wanted:
        if ref not in modules:
            raise ConfigError(f"layer {ref.path} is none of {vlm.name}'s")
    distinct = list({id(image): image for image in images}.values())
    place = {id(image): index for index, image in enumerate(distinct)}
    of_pair = [place[id(image)] for image in images]
    rows, pooled = vision_pass(vlm, distinct, [ref for ref in wanted if not ref.text_dependent], pool, batch_size)
    out = {ref: value[of_pair] for ref, value in pooled.items()}
    deep = [ref for ref in wanted if ref.text_dependent]
    if not deep:
        return out
    asked = [text if isinstance(text, Prompt) else vlm.format_prompt(text) for text in texts]
    pairs = list(dict.fromkeys(zip(of_pair, asked, strict=True)))  # a merger may read what is equal once
    order = {pair: index for index, pair in enumerate(pairs)}
    places = [order[pair] for pair in zip(of_pair, asked, strict=True)]
    feats = ImageFeatures(tuple(rows)).pick([picture for picture, _ in pairs])
    prompts = [prompt for _, prompt in pairs]
    seen: dict[LayerRef, list[Tensor]] = {ref: [] for ref in deep}
    mergers = {ref: modules[ref] for ref in deep if ref.block == "merger"}
    language = {ref: modules[ref] for ref in deep if ref.block == "language"}
    for items in fitting(lengths(vlm, feats, prompts, range(len(prompts))), batch_size, vlm.batch_tokens):
        with watch(mergers, lambda ref, hidden: seen[ref].append(pool_tokens(vlm.split_tokens(hidden, {}, ref), pool))):
            batch = Batch.of(vlm.prefix(feats.pick(items), [prompts[item] for item in items]), "left")

        def see(ref: LayerRef, hidden: Tensor, mask: Tensor = batch.mask) -> None:
            seen[ref].append(pool_tokens(hidden, pool, mask))

        with watch(language, see):
            run(vlm, batch, "prefill", [places.index(item) for item in items])
    out.update({ref: torch.cat(parts)[places] for ref, parts in seen.items() if parts})
    return {ref: out[ref] for ref in wanted if ref in out}
