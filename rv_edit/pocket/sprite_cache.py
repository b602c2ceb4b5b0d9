"""Sprites kept on disk between processes: drawing all looks takes a minute, reading them a second or two.

The cache is a convenience: what cannot be read is drawn again, what cannot be written is not kept.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rv_edit.pocket.cache import cache_folder

VERSION = 1
"""Raised whenever a sprite looks different."""

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]
"""Pictures ``(n, h, w, 4)``, shadows ``(n, h, w)`` and boxes ``(n, 4)`` of a look's sprites."""


def _path(look: tuple[str, ...]) -> Path:
    return cache_folder() / f"sprites_v{VERSION}" / ("-".join(look) + ".npz")


def recall(look: tuple[str, ...]) -> Arrays | None:
    """The stored sprites of a look, ``None`` where there are none that can be read."""
    try:
        with np.load(_path(look), allow_pickle=False) as stored:
            return stored["images"], stored["shadows"], stored["boxes"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def keep(look: tuple[str, ...], arrays: Arrays) -> None:
    """Store the sprites of a look, whole or not at all."""
    path, temporary = _path(look), ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(suffix=".npz", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(stream, images=arrays[0], shadows=arrays[1], boxes=arrays[2])
        os.replace(temporary, path)
    except OSError:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
