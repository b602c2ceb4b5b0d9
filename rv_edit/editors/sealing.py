"""A checkpoint that tells whether it is what was written: a digest of everything in it, kept inside it.

One file, so the digest cannot belong to another: a file beside it could be a kill older or newer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rv_edit.errors import ConfigError

SEAL = "rv_edit_seal"
"""The digest's name in the checkpoint."""


def seal(checkpoint: dict[str, Any]) -> None:
    """Add the digest of what ``checkpoint`` holds; whatever is added later breaks it."""
    checkpoint.pop(SEAL, None)
    checkpoint[SEAL] = digest(checkpoint)


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of nested mappings, sequences, tensors and plain values, whatever the order of keys."""
    found = hashlib.sha256()
    for part in _parts(content):
        found.update(part)
    return found.hexdigest()


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a checkpoint and check it; nothing in it is executed.

    Raises:
        ConfigError: truncated, damaged, changed after it was written, or never sealed.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0]
        raise ConfigError(f"{path}: truncated or damaged ({reason[:120]})") from error
    if not isinstance(found, dict) or SEAL not in found:
        raise ConfigError(
            f"{path}: has no seal, so it is none of this program's checkpoints, or one of an earlier version"
        )
    held = found.pop(SEAL)
    if digest(found) != held:
        raise ConfigError(f"{path}: was changed after it was written")
    return found


def edits_in(checkpoint: Mapping[str, Any]) -> int:
    """How many edits of the stream a checkpoint stands behind."""
    return int(checkpoint.get("global_step", 0))


def newest_sealed(folder: Path, but: Path | None = None) -> tuple[Path, int] | None:
    """The good checkpoint in ``folder`` with the most edits, and how many; ``None`` where there is none.

    Args:
        folder: of checkpoints.
        but: one that is left out.
    """
    best: tuple[Path, int] | None = None
    for path in sorted(folder.glob("*.ckpt")):
        if path == but:
            continue
        try:
            edits = edits_in(read_sealed(path))
        except ConfigError:
            continue
        if best is None or edits >= best[1]:  # of equally good ones last.ckpt, which comes last
            best = path, edits
    return best


def _parts(value: Any) -> Iterator[bytes]:
    """Bytes that differ where values do; lengths and kinds go in, so that no two shapes read alike."""
    if isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        yield f"tensor {plain.dtype} {tuple(plain.shape)}\n".encode()
        yield plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    elif isinstance(value, Mapping):
        yield f"mapping {len(value)}\n".encode()
        for key in sorted(value, key=repr):
            yield from _parts(key)
            yield from _parts(value[key])
    elif isinstance(value, list | tuple):
        yield f"sequence {len(value)}\n".encode()
        for item in value:
            yield from _parts(item)
    elif value is None or isinstance(value, bool | int | float | str):
        text = repr(value).encode("utf-8", "backslashreplace")
        yield f"{type(value).__name__} {len(text)}\n".encode() + text
    else:
        yield f"other {type(value).__qualname__}\n".encode()
