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
from rv_edit.embedding.hidden import hidden_states, key_layer
from rv_edit.embedding.key_space import KeySpace
from rv_edit.embedding.text import TextEncoder

if TYPE_CHECKING:
    from rv_edit.vlm import VLM


class DualEmbedding:
    """φ(v, t) = [pool(h_ℓ(v)) / μ_h ; λ · s(t) / μ_s], the vision tower's half beside the sentence encoder's.

    A vision block does not see the text, so one vision pass serves every text that is paired with a picture. Where the
    key space names a language layer instead (paper 4.5, Fig. 5a), h_ℓ(v, t) is that of each pair by itself.

    Args:
        vlm: the edited model; its block ``key_space.layer`` is read.
        text_encoder: s.
        key_space: ℓ, pooling, λ and the norms.

    Raises:
        ConfigError: the VLM has no such block.

    Warns:
        UserWarning: the norms were calibrated on other weights or another encoder; λ then means something else.
    """

    def __init__(self, vlm: VLM, text_encoder: TextEncoder, key_space: KeySpace) -> None:
        self.ref = key_layer(vlm, key_space.block, key_space.layer)
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
        return int(self.ref.dim) + self.text_encoder.dim

    @property
    def layer(self) -> int:
        """The block ℓ whose pooled output is the VLM's half."""
        return self.key_space.layer

    @property
    def reads_text(self) -> bool:
        """Whether the text reaches that block: then a pass over pictures alone gives no part of a key."""
        return self.ref.text_dependent

    @property
    def pool_layer(self) -> int:
        """The vision block that passes over pictures may pool on the way; where keys need none, any: the first."""
        return 0 if self.reads_text else self.layer

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
        # Named only where it is not the paper's: codebooks of vision blocks were made before there were others.
        other = {"block": self.key_space.block, "prompt": self._prompt} if self.reads_text else {}
        return {
            "base_model": self.vlm.fingerprint,
            "preprocessing": self.vlm.preprocessing,
            "layer": self.layer,
            "pooling": self.pooling,
            "lam": self.key_space.lam,
            "vision_norm": self.key_space.vision_norm,
            "text_norm": self.key_space.text_norm,
            "text_encoder": self.text_encoder.fingerprint,
            **other,
        }

    @property
    def _prompt(self) -> str:
        """How a text is put to a language layer."""
        return str(self.vlm.format_prompt("{text}"))

    def combine(self, pooled_vision: Tensor, texts: Sequence[str], exact: bool = True) -> Tensor:
        """Join pooled features with texts, row by row; no pass of the VLM.

        Args:
            pooled_vision: (B, dv), block ``layer`` pooled by ``pooling``, not yet scaled; of a language layer, as
                :meth:`hidden` gives it for the same pairs.
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

    def hidden(self, images: Sequence[Image.Image], texts: Sequence[str], batch_size: int = 16) -> Tensor:
        """(B, dv) of picture–text pairs, as :meth:`combine` takes them; see :func:`hidden_states`."""
        return hidden_states(self.vlm, self.ref, self.pooling, images, texts, batch_size)

    def keys(self, images: Sequence[Image.Image], texts: Sequence[str], exact: bool = True) -> Tensor:
        """φ of picture–text pairs: for a vision block, one early-exit pass over the distinct pictures.

        Args:
            images: B RGB pictures; one object given several times is encoded once.
            texts: B texts.
            exact: as in :meth:`combine`.

        Returns:
            (B, dv + ds) fp32 on the CPU.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} pictures for {len(texts)} texts; give one picture a text")
        if not images:
            return torch.empty(0, self.dim)
        return self.combine(self.hidden(images, texts), texts, exact)
