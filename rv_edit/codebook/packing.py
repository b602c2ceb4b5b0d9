"""Keys in 8 bits: half the memory of fp16, at 1/254 of the largest number of each group of 64 in a key.

A packed key is a row of int8 like any other row of a tensor: its codes, then the bytes of the groups' fp16 steps. So
rows are appended, moved, sliced and saved without knowing; only :func:`widen` tells them from numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 64
"""Numbers that share a step. One step a key would leave nothing to most numbers, where a few are very large."""
STEP_BYTES = 2


def packed_width(dim: int) -> int:
    """Bytes of a packed key of ``dim`` numbers."""
    return dim + STEP_BYTES * -(-dim // GROUP)


def pack(keys: Tensor) -> Tensor:
    """Keys (n, d) as int8 rows (n, :func:`packed_width`), each number rounded to its group's nearest step.

    >>> widen(pack(torch.tensor([[1.27, -0.5, 0.004]]))).round(decimals=2).tolist()
    [[1.2699999809265137, -0.5, 0.0]]
    """
    count, dim = keys.shape
    if not count:  # of no rows no bytes can be read as other numbers
        return torch.zeros(0, packed_width(dim), dtype=torch.int8, device=keys.device)
    groups = -(-dim // GROUP)
    room = keys.new_zeros(count, groups * GROUP, dtype=torch.float32)
    room[:, :dim] = keys
    parts = room.view(count, groups, GROUP)
    steps = (parts.abs().amax(dim=2) / 127).half()
    wide = steps.float()[:, :, None]
    codes = torch.where(wide > 0, parts / wide, 0.0).round().clamp(-127, 127).to(torch.int8)
    return torch.cat([codes.view(count, groups * GROUP)[:, :dim], steps.view(torch.int8)], dim=1)


def widen(keys: Tensor) -> Tensor:
    """Keys (…, d) as fp32, whatever they are kept in; exact, so that a packed key is one vector and no other."""
    if keys.dtype != torch.int8:
        return keys.float()
    groups = -(-keys.shape[-1] // (GROUP + STEP_BYTES))
    dim = keys.shape[-1] - STEP_BYTES * groups
    if not keys.numel():
        return keys.new_zeros(*keys.shape[:-1], dim, dtype=torch.float32)
    # A copy, since bytes at an odd place cannot be read as fp16.
    steps = keys[..., dim:].clone(memory_format=torch.contiguous_format).view(torch.float16).float()
    return keys[..., :dim].float() * steps.repeat_interleave(GROUP, dim=-1)[..., :dim]
