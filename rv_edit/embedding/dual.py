"""φ(v, t): the dual embedding in which keys and queries live (paper 3.3)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from data_modules.records import RecordError
from rv_edit.embedding.key_space import KeySpace
from rv_edit.embedding.text import TextEncoder
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.vlm import VLM


class DualEmbedding:
    """φ(v, t) = [pool(h_ℓ(v)) / μ_h ; λ · s(t) / μ_s], the vision tower's half beside the sentence encoder's.

    The vision half does not see the text, so one vision pass serves every text that is paired with a picture.

    Args:
        vlm: the edited model; its vision block ``key_space.layer`` is read.
        text_encoder: s.
        key_space: ℓ, pooling, λ and the norms.

    Raises:
        ConfigError: the VLM has no such vision block.

    Warns:
        UserWarning: the norms were calibrated on other weights or another encoder; λ then means something else.
    """

    def __init__(self, vlm: VLM, text_encoder: TextEncoder, key_space: KeySpace) -> None:
        if key_space.layer >= vlm.num_vision_layers:
            raise ConfigError(
                f"key space: layer={key_space.layer}, but {vlm.name} has {vlm.num_vision_layers} vision blocks, "
                "counted from 0; calibrate a key space for this model"
            )
        self.vlm = vlm
        self.text_encoder = text_encoder
        self.key_space = key_space
        for what, expected, actual in (
            (f"VLM {vlm.name}", key_space.model_fingerprint, vlm.fingerprint),
            (f"text encoder {text_encoder.name}", key_space.encoder_fingerprint, text_encoder.fingerprint),
        ):
            if expected and expected != actual:
                warnings.warn(f"key space: calibrated on other weights than {what}; calibrate anew", stacklevel=2)

    @property
    def dim(self) -> int:
        """Width of a key, dv + ds."""
        return int(self.vlm.vision_dim) + self.text_encoder.dim

    @property
    def layer(self) -> int:
        """The vision block ℓ whose pooled output is the vision half."""
        return self.key_space.layer

    @property
    def pooling(self) -> str:
        """``mean | last``, what :meth:`combine` expects its pooled features to be."""
        return self.key_space.pooling

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What must agree before keys may be compared: plain JSON values, free of names, paths and dates.

        Model and encoder are hashes of their weights: these also tell revisions apart, and a copied or renamed
        checkpoint stays the same one.
        """
        return {
            "base_model": self.vlm.fingerprint,
            "preprocessing": self.vlm.preprocessing,
            "layer": self.layer,
            "pooling": self.pooling,
            "lam": self.key_space.lam,
            "vision_norm": self.key_space.vision_norm,
            "text_norm": self.key_space.text_norm,
            "text_encoder": self.text_encoder.fingerprint,
        }

    def combine(self, pooled_vision: Tensor, texts: Sequence[str], exact: bool = True) -> Tensor:
        """Join pooled features with texts, row by row; no vision pass.

        Args:
            pooled_vision: (B, dv), block ``layer`` pooled by ``pooling``, not yet scaled.
            texts: B texts.
            exact: as in :meth:`TextEncoder.encode`: ``True`` for keys, ``False`` is quicker for many queries.

        Returns:
            (B, dv + ds) fp32 on the CPU.

        Raises:
            RecordError: the features are not finite, or a text cannot be encoded.
        """
        if pooled_vision.ndim != 2 or pooled_vision.shape[0] != len(texts):
            raise ValueError(f"{tuple(pooled_vision.shape)} features for {len(texts)} texts; give one row a text")
        vision = pooled_vision.detach().to("cpu", torch.float32)
        finite = torch.isfinite(vision).all(dim=1)
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0])
            raise RecordError(f"{self.vlm.name}: features of the picture of {texts[row][:60]!r} are not finite")
        text = self.text_encoder.encode(texts, exact=exact)
        space = self.key_space
        return torch.cat([vision / space.vision_norm, text * (space.lam / space.text_norm)], dim=1)

    def keys(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Tensor:
        """φ of picture–text pairs: one early-exit vision pass over the distinct pictures.

        Args:
            images: B RGB pictures; one object given several times is encoded once.
            texts: B texts.

        Returns:
            (B, dv + ds) fp32 on the CPU.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} pictures for {len(texts)} texts; give one picture a text")
        if not images:
            return torch.empty(0, self.dim)
        place: dict[int, int] = {}
        distinct: list[Image.Image] = []
        for image in images:
            if id(image) not in place:
                place[id(image)] = len(distinct)
                distinct.append(image)
        pooled = self.vlm.embed_vision(distinct, self.layer, self.pooling)
        return self.combine(pooled[[place[id(image)] for image in images]], texts)
