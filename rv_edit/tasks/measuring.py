"""The five measures of a network: in every layer of a VLM, and of the dual embedding over a grid of λ (paper 4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from rv_edit.embedding.key_space import POOLINGS
from rv_edit.errors import ConfigError
from rv_edit.tasks.networks import Network
from rv_edit.topology import measures
from rv_edit.vlm import probe_layers

if TYPE_CHECKING:
    from rv_edit.embedding import KeySpace, TextEncoder
    from rv_edit.vlm import VLM, LayerRef
    from rv_edit.vlm.probing import Progress


def measure_layers(
    vlm: VLM, network: Network, images: Sequence[Image.Image], batch_size: int, progress: Progress | None = None
) -> Tensor:
    """The measures in every layer, for both poolings, from one pass over the network.

    Returns:
        (layers, poolings, 5) fp64 on the CPU, layers as in ``vlm.layer_refs()``.

    Raises:
        ConfigError: a layer gives numbers that are not finite.
    """
    found = probe_layers(vlm, images, network.texts, poolings=POOLINGS, batch_size=batch_size, progress=progress)
    refs = list(found)
    out = torch.zeros(len(refs), len(POOLINGS), 5, dtype=torch.float64)
    for width in sorted({ref.dim for ref in refs}):  # layers of one width are one computation
        places = [place for place, ref in enumerate(refs) if ref.dim == width]
        for place in places:
            _check_finite(found[refs[place]], vlm, refs[place])
        embeddings = torch.stack([found.pop(refs[place]) for place in places]).to(_where(vlm))
        out[places] = torch.stack(measures(embeddings, network.layout), dim=-1).cpu()
    return out


def measure_balance(
    vlm: VLM,
    encoder: TextEncoder,
    space: KeySpace,
    grid: Tensor,
    network: Network,
    images: Sequence[Image.Image],
    batch_size: int,
) -> Tensor:
    """The measures of φ = [h_ℓ / μ_h ; λ · s / μ_s] at each λ of ``grid`` (Λ,), from one pass over the pictures.

    Returns:
        (Λ, 5) fp64 on the CPU.

    Raises:
        ConfigError: the layer gives numbers that are not finite.
    """
    distinct = list({id(image): image for image in images}.values())
    place = {id(image): index for index, image in enumerate(distinct)}
    pooled = vlm.embed_vision(distinct, space.layer, space.pooling, batch_size).cpu()
    _check_finite(pooled, vlm, vlm.layer_refs()[space.layer])
    seen = pooled[[place[id(image)] for image in images]] / space.vision_norm
    read = encoder.encode(network.texts, exact=False) / space.text_norm
    weighted = grid.to(read.dtype)[:, None, None] * read
    embeddings = torch.cat([seen.expand(len(grid), *seen.shape), weighted], dim=-1)
    return torch.stack(measures(embeddings.to(_where(vlm)), network.layout), dim=-1).cpu()


def _where(vlm: VLM) -> torch.device:
    """The model's device, unless it lacks fp64."""
    return torch.device("cpu") if vlm.device.type == "mps" else vlm.device


def _check_finite(embeddings: Tensor, vlm: VLM, ref: LayerRef) -> None:
    if not bool(torch.isfinite(embeddings).all()):
        raise ConfigError(
            f"{vlm.name}: layer {ref.path} gives numbers that are not finite; try model.vlm.dtype=float32"
        )
