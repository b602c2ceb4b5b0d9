"""Made pictures on the disk, named after their content; a picture is there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import Any

from PIL import Image

from data_modules.records import ImageRef, RecordError
from rv_edit.benchmark.building.journal import disk_error
from rv_edit.durable import sync_folder
from rv_edit.errors import ConfigError

FORMATS = {"png": ("PNG", {}), "jpg": ("JPEG", {"quality": 95})}


class PictureStore:
    """The folder ``images`` of a suites folder.

    Args:
        root: the suites folder.
        form: ``png`` or ``jpg``.

    Raises:
        ConfigError: another format.
    """

    def __init__(self, root: Path, form: str = "png") -> None:
        if form not in FORMATS:
            raise ConfigError(f"task.picture_format={form}: give one of {', '.join(FORMATS)}")
        self.root, self.form = root, form

    def save(self, image: Image.Image) -> dict[str, Any]:
        """Write a picture; returns ``{"file", "sha", "bytes"}``, the file relative to the folder.

        Raises:
            DiskError: it cannot be written; nothing is left of it.
        """
        buffer = io.BytesIO()
        kind, options = FORMATS[self.form]
        image.convert("RGB").save(buffer, kind, **options)
        data = buffer.getvalue()
        sha = hashlib.sha256(data).hexdigest()
        file = f"images/{sha[:2]}/{sha}.{self.form}"
        path = self.root / file
        draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(draft, path)
            sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise disk_error(path, error) from error
        return {"file": file, "sha": sha, "bytes": len(data)}

    def has(self, row: dict[str, Any]) -> bool:
        """Whether a journalled picture is still there, as far as its size tells."""
        try:
            return (self.root / row["file"]).stat().st_size == row["bytes"]
        except OSError:
            return False

    def open(self, row: dict[str, Any]) -> Image.Image:
        """Decode a journalled picture.

        Raises:
            ConfigError: it was damaged since.
        """
        path = self.root / row["file"]
        try:
            return ImageRef(sha=row["sha"], path=str(path)).open()
        except RecordError as error:
            raise ConfigError(f"{path}: damaged; delete it and give the same command again") from error


def is_blank(image: Image.Image, spread: int) -> bool:
    """Whether no channel differs by more than ``spread`` (of 255) anywhere, as in what safety filters return.

    >>> is_blank(Image.new("RGB", (4, 4)), 8), is_blank(Image.linear_gradient("L").convert("RGB"), 8)
    (True, False)
    """
    bands = image.convert("RGB").getextrema()
    return all(isinstance(band, tuple) and band[1] - band[0] <= spread for band in bands)
