"""Hashes that tell whether two runs used the same model and the same preprocessing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_VIEW = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_VOLATILE = ("transformers_version", "_name_or_path", "processor_class", "image_processor_type", "_processor_class")


def of_settings(settings: Mapping[str, Any]) -> str:
    """Hash of a configuration, without what depends on where and by which release it was written."""
    kept = {key: value for key, value in settings.items() if key not in _VOLATILE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]


def of_model(model: Any, sample: int = 1024) -> str:
    """Hash of a model's configuration and weights: names, shapes, dtypes, and for each tensor the sum of its bits.

    The sum is over whole numbers, hence exact whatever the thread count or the device, and takes seconds where
    hashing every byte of a 7B model takes a minute. ``sample`` elements at even distances are hashed besides, since
    a sum does not see a change of order.
    """
    digest = hashlib.sha256(of_settings(_plain(model.config.to_dict())).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(_checksum(tensor, sample))
    return digest.hexdigest()[:32]


def _checksum(tensor: Tensor, sample: int) -> bytes:
    if tensor.is_meta or not tensor.numel():
        return b""
    bits = tensor.detach().contiguous().flatten()
    bits = bits.view(_VIEW[bits.element_size()])
    step = max(1, bits.numel() // sample)
    return str(int(bits.sum(dtype=torch.int64))).encode() + bits[::step].cpu().numpy().tobytes()


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without volatile entries, in nested ones too."""
    return {
        key: _plain(value) if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if key not in _VOLATILE
    }
