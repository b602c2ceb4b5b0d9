"""Measure the norms that make λ comparable across models, and write them as a :class:`KeySpace`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import torch

from data_modules.records import ImageRef, RecordError
from rv_edit.embedding.hidden import hidden_states, key_layer
from rv_edit.embedding.key_space import KeySpace
from rv_edit.embedding.text import TextEncoder
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.vlm import VLM


def calibrate(
    vlm: VLM,
    text_encoder: TextEncoder,
    sample: Sequence[tuple[ImageRef, str]],
    *,
    layer: int,
    lam: float,
    pooling: str = "mean",
    block: str = "vision",
    batch_size: int = 32,
    source: str = "",
) -> KeySpace:
    """μ_h and μ_s over a fixed sample of picture–text pairs, for a given layer and λ.

    Args:
        vlm: the model whose keys are calibrated.
        text_encoder: s.
        sample: the pairs, in any order (the means are taken in double precision).
        layer: ℓ, counted from 0.
        lam: λ.
        pooling: ``mean | last``.
        block: ``vision | language``, the part that ℓ belongs to.
        batch_size: pictures a vision pass, pairs a language pass.
        source: where the sample comes from, for the reader of the artefact.

    Returns:
        A key space for this model and encoder; :meth:`KeySpace.save` makes it an artefact.

    Raises:
        ConfigError: the sample is empty, a picture in it cannot be used, or the layer does not exist.
    """
    if not sample:
        raise ConfigError("key space: nothing to calibrate on; give at least one picture and text")
    ref = key_layer(vlm, block, layer)
    norms: list[torch.Tensor] = []
    for start in range(0, len(sample), batch_size):
        try:
            part = sample[start : start + batch_size]
            images = [reference.open() for reference, _ in part]
        except RecordError as error:
            raise ConfigError(f"key space: calibration sample: {error}") from error
        states = hidden_states(vlm, ref, pooling, images, [text for _, text in part], batch_size)
        norms.append(states.detach().to("cpu", torch.float64).norm(dim=1))
    text = text_encoder.encode([text for _, text in sample], exact=False).double().norm(dim=1)
    return KeySpace(
        layer=layer,
        lam=lam,
        vision_norm=float(torch.cat(norms).mean()),
        text_norm=float(text.mean()),
        pooling=pooling,
        block=block,
        model=PurePath(vlm.name).name,
        model_fingerprint=vlm.fingerprint,
        encoder=PurePath(text_encoder.name).name,
        encoder_fingerprint=text_encoder.fingerprint,
        calibration={"pairs": len(sample), "source": source},
    )
