"""A file that is there as a whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import os
from pathlib import Path

from rv_edit.errors import ConfigError


def write_whole(path: Path, data: bytes, what: str) -> Path:
    """Write ``data`` to ``path`` under a temporary name, reach the disk, rename.

    Returns:
        The folder.

    Raises:
        ConfigError: it cannot be written; ``what`` names it, and what was there before is intact.
    """
    folder, pending = path.parent, path.with_name(f"{path.name}.new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with pending.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            pending.unlink(missing_ok=True)
            raise
        os.replace(pending, path)
    except OSError as error:
        raise ConfigError(
            f"{what}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    return folder
