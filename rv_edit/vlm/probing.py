"""Every hidden layer of many picture–text pairs at once, pooled in several ways inside the hooks of one forward pass.

What asks for embeddings of all layers asks for the cross product of some pictures and some texts. So a picture passes
the vision tower once, and where the language model reads a picture before the text, it reads it once for all texts
of a batch. Nothing but pooled vectors is ever kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from rv_edit.errors import ConfigError
from rv_edit.vlm.batching import fitting, lengths
from rv_edit.vlm.decoding import read
from rv_edit.vlm.features import POOLINGS, ImageFeatures, ImageRow, LayerRef, pool_tokens, watch
from rv_edit.vlm.prompts import Prompt

if TYPE_CHECKING:
    from rv_edit.vlm.base import VLM

Progress = Callable[[int], None]
"""Told how many pairs have been read since it was told last."""


@torch.no_grad()
def probe_layers(
    vlm: VLM,
    images: Sequence[Image.Image],
    texts: Sequence[str],
    refs: Sequence[LayerRef] | None = None,
    poolings: Sequence[str] = POOLINGS,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> dict[LayerRef, Tensor]:
    """Embeddings of picture–text pairs in every layer (paper 4.6): as ``VLM.embed_layers``, for several poolings.

    Pairs on one picture should stand together: the language model then reads the picture once for all of a batch.

    Args:
        vlm: The model.
        images: B pictures; one object given several times passes the vision tower once.
        texts: B texts, put as questions unless they are prompts.
        refs: Which layers; all of them by default.
        poolings: P of ``mean`` and ``last``.
        batch_size: Pictures of a vision pass, and pairs of a language pass.
        progress: Called after every batch of pairs.

    Returns:
        (P, B, D) fp32 on the CPU per layer, in the order of ``refs``.

    Raises:
        ConfigError: a layer or a pooling that does not exist, or a layer that pictures do not reach.
    """
    if len(images) != len(texts):
        raise ValueError(f"{len(images)} pictures for {len(texts)} texts")
    for how in poolings:
        if how not in POOLINGS:
            raise ConfigError(f"pooling {how!r} is unknown; use {' or '.join(POOLINGS)}")
    known = vlm.layer_refs()
    wanted = known if refs is None else tuple(refs)
    for ref in wanted:
        if ref not in known:
            raise ConfigError(f"layer {ref.path} is none of {vlm.name}'s")
    distinct = list({id(image): image for image in images}.values())
    place = {id(image): index for index, image in enumerate(distinct)}
    of_pair = [place[id(image)] for image in images]
    shallow = [ref for ref in wanted if not ref.text_dependent]
    rows, out = _look(vlm, distinct, shallow, poolings, batch_size)
    out = {ref: pooled[:, of_pair] for ref, pooled in out.items()}
    deep = [ref for ref in wanted if ref.text_dependent]
    if deep:
        asked = [text if isinstance(text, Prompt) else vlm.format_prompt(text) for text in texts]
        times = Counter(zip(of_pair, asked, strict=True))  # what is equal is read once
        order = {pair: index for index, pair in enumerate(times)}
        places = [order[pair] for pair in zip(of_pair, asked, strict=True)]
        feats = ImageFeatures(tuple(rows)).pick([picture for picture, _ in order])
        prompts, counts = [prompt for _, prompt in order], list(times.values())
        reading = _Reading(vlm, deep, poolings)
        for items in fitting(lengths(vlm, feats, prompts, range(len(prompts))), batch_size, vlm.batch_tokens):
            reading.batch(feats, prompts, items)
            if progress is not None:
                progress(sum(counts[item] for item in items))
        out.update({ref: found[:, places] for ref, found in reading.result().items()})
    elif progress is not None:
        progress(len(images))
    return {ref: out[ref] for ref in wanted}


def _look(
    vlm: VLM, images: Sequence[Image.Image], refs: Sequence[LayerRef], poolings: Sequence[str], batch_size: int
) -> tuple[list[ImageRow], dict[LayerRef, Tensor]]:
    """One vision pass: features for the language model, and (P, B, D) of each layer that sees pictures alone."""
    modules = dict(vlm.model.named_modules())
    rows: list[ImageRow] = []
    seen: dict[LayerRef, list[Tensor]] = {ref: [] for ref in refs}
    for start in range(0, len(images), batch_size):
        pixels = vlm.preprocess(images[start : start + batch_size])

        def see(ref: LayerRef, hidden: Tensor, pixels: dict[str, Tensor] = pixels) -> None:
            tokens = vlm.split_tokens(hidden, pixels, ref)
            seen[ref].append(torch.stack([pool_tokens(tokens, how) for how in poolings]).cpu())

        with watch({ref: modules[ref.path] for ref in refs}, see):
            rows.extend(vlm.image_rows(pixels))
    for ref, parts in seen.items():
        if images and not parts:
            raise ConfigError(f"{vlm.name}: layer {ref.path} does not run when a picture is read; it has no embedding")
    empty = {ref: torch.zeros(len(poolings), 0, ref.dim) for ref in refs}
    return rows, {ref: torch.cat([empty[ref], *parts], dim=1) for ref, parts in seen.items()}


class _Reading:
    """Pooled states of the layers that the prompt reaches, batch by batch.

    A beginning that several prompts share passes by itself first: the sums over its tokens are kept until the rest of
    each prompt has passed, and the mean is taken over both.
    """

    def __init__(self, vlm: VLM, refs: Sequence[LayerRef], poolings: Sequence[str]) -> None:
        modules = dict(vlm.model.named_modules())
        self.vlm, self.poolings = vlm, poolings
        self.mergers = {ref: modules[ref.path] for ref in refs if ref.block != "language"}
        self.layers = {ref: modules[ref.path] for ref in refs if ref.block == "language"}
        self.seen: dict[LayerRef, list[Tensor]] = {
            ref: [torch.zeros(len(poolings), 0, ref.dim)] for ref in [*self.mergers, *self.layers]
        }

    def batch(self, feats: ImageFeatures, prompts: Sequence[Prompt], items: Sequence[int]) -> None:
        """Read some of the prompts, each over its picture."""
        groups = {row: group for group, row in enumerate(dict.fromkeys(id(feats.rows[item]) for item in items))}
        owner = [groups[id(feats.rows[item])] for item in items]
        shared: dict[LayerRef, tuple[Tensor, Tensor]] = {}

        def see_merger(ref: LayerRef, hidden: Tensor) -> None:
            tokens = self.vlm.split_tokens(hidden, {}, ref)
            self.seen[ref].append(torch.stack([pool_tokens(tokens, how) for how in self.poolings]).cpu())

        def see_layer(ref: LayerRef, hidden: Tensor) -> None:
            context = self.vlm.hook_context
            assert context is not None
            mask = context.mask.to(hidden.device)
            total = torch.where(mask.unsqueeze(-1), hidden.float(), 0.0).sum(dim=1)
            count = mask.sum(dim=1, keepdim=True).float()
            if context.phase == "shared":
                shared[ref] = (total, count)
                return
            if ref in shared:
                total, count = total + shared[ref][0][owner], count + shared[ref][1][owner]
            pooled = {"mean": total / count, "last": pool_tokens(hidden, "last", mask)}
            self.seen[ref].append(torch.stack([pooled[how] for how in self.poolings]).cpu())

        with watch(self.mergers, see_merger), watch(self.layers, see_layer):
            read(self.vlm, feats, prompts, items, share=True, keep=False)

    def result(self) -> dict[LayerRef, Tensor]:
        """(P, B, D) per layer."""
        return {ref: torch.cat(parts, dim=1) for ref, parts in self.seen.items()}
