"""Whether keys, radii and queries can be used; one line where they cannot."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from data_modules.records import RecordError


def checked_members(
    edit_id: str, keys: Tensor, radii: Tensor | Sequence[float], shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """An edit's keys as fp16 and radii as fp32, copied to main memory.

    Raises:
        RecordError: keys are not of ``shape`` (m, dim), radii not (m,), or a number cannot be stored.
    """
    spread = torch.as_tensor(radii, dtype=torch.float32).detach().cpu().clone()
    if tuple(keys.shape) != shape or tuple(spread.shape) != shape[:1]:
        raise RecordError(
            f"edit {edit_id!r}: keys of shape {tuple(keys.shape)} and radii of shape {tuple(spread.shape)}, "
            f"expected {shape} and {shape[:1]}"
        )
    members = keys.detach().to("cpu", torch.float16, copy=True)
    for number in range(shape[0]):
        where = f"edit {edit_id!r}, entry {number}"
        if not members[number].isfinite().all():
            raise RecordError(f"{where}: its key is not finite in fp16; check the picture's embedding")
        if not spread[number].isfinite() or spread[number] < 0:
            raise RecordError(f"{where}: radius {spread[number].item()}; give a finite one, at least 0")
    return members, spread


def checked_queries(queries: Tensor, dim: int, what: str) -> Tensor:
    """Queries (B, dim) as fp32.

    Raises:
        RecordError: of another shape, or a row is not finite.
    """
    if queries.dim() != 2 or queries.shape[1] != dim:
        raise RecordError(f"codebook: {what} of shape {tuple(queries.shape)}, expected (any, {dim})")
    queries = queries.detach().float()
    odd = (~queries.isfinite().all(dim=1)).nonzero().flatten()
    if len(odd):
        raise RecordError(f"codebook: {what}, row {int(odd[0])}: not finite; check that picture's embedding")
    return queries
