"""Pictures of requests: taken out of data URLs or fetched, checked, decoded once, and kept for edits."""

from __future__ import annotations

import base64
import binascii
import gc
import hashlib
import io
import os
import re
import tempfile
import threading
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

from PIL import Image

from data_modules.images import decode
from data_modules.records import ImageRef
from rv_edit.app.errors import RequestError
from rv_edit.app.fetching import fetch
from rv_edit.app.settings import Limits, Remote
from rv_edit.durable import sync_folder

SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ShownImage(ImageRef):
    """A picture of a request, decoded when it came in."""

    image: Image.Image = field(default_factory=lambda: Image.new("RGB", (1, 1)), compare=False, repr=False)

    def open(self) -> Image.Image:
        """The decoded picture; nobody changes it."""
        return self.image


class Room:
    """Pixels of decoded pictures that may be in memory at a time, whatever they wait for.

    Args:
        pixels: of all pictures together; one alone is let in whatever its size.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels
        self.taken = 0
        self._guard = threading.Lock()

    def hold(self, pixels: int, decoded: Callable[[], Image.Image]) -> Image.Image:
        """Decode a picture that takes up so much, until nothing refers to it any more.

        Raises:
            RequestError: there is no room now (503).
        """
        if not self._take(pixels):
            gc.collect()  # a picture in a traceback is let go of late
            if not self._take(pixels):
                raise RequestError("busy: too many large pictures wait; send it again in a moment", 503, "busy")
        try:
            image = decoded()
        except BaseException:
            self._give(pixels)
            raise
        weakref.finalize(image, self._give, pixels)
        return image

    def _take(self, pixels: int) -> bool:
        with self._guard:
            fits = not self.taken or self.taken + pixels <= self.pixels
            self.taken += pixels if fits else 0
            return fits

    def _give(self, pixels: int) -> None:
        with self._guard:
            self.taken -= pixels


def read_picture(url: str, limits: Limits, remote: Remote, room: Room | None = None) -> ShownImage:
    """The picture behind a ``data:`` URL, bare base64, or an address where those are allowed.

    Raises:
        RequestError: not one of these, too large, no picture of an allowed format, or no room for it.
    """
    if url.startswith("data:"):
        data = _from_data_url(url, limits)
    elif "://" in url[:32] or url.startswith("//"):
        data = fetch(url, remote, limits.image_bytes)
    else:
        data = _decode_base64(url, limits)
    return decode_picture(data, limits, room)


def decode_picture(data: bytes, limits: Limits, room: Room | None = None) -> ShownImage:
    """Check a picture by its header, then decode it; its pixels take up ``room`` for as long as it is in memory.

    Raises:
        RequestError: too large, of another format, truncated or damaged, or no room for it.
    """
    if len(data) > limits.image_bytes:
        raise RequestError(f"image: {len(data)} bytes, at most {limits.image_bytes}", status=413)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Named formats alone: some of the others start programs of their own.
            with Image.open(io.BytesIO(data), formats=limits.image_formats) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        raise RequestError(f"image: more than {limits.image_pixels} pixels", status=413) from None
    except Exception:  # noqa: BLE001  a damaged header makes the readers raise nearly anything
        raise RequestError(f"image: not one of {', '.join(limits.image_formats)}, or damaged") from None
    if width * height > limits.image_pixels:
        raise RequestError(f"image: {width}x{height} pixels, at most {limits.image_pixels} in all", status=413)
    sha = hashlib.sha256(data).hexdigest()
    decoded = partial(decode, ImageRef(sha, data=data), limits.image_pixels)
    shown = decoded() if room is None else room.hold(width * height, decoded)
    return ShownImage(sha=sha, data=data, image=shown)


class PictureFolder:
    """The pictures of edits, by the hash of their content, which no client chooses.

    Args:
        folder: made at the first picture.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, picture: ImageRef) -> ImageRef:
        """Write a picture to the disk, whole, and return where it is.

        Raises:
            OSError: it cannot be written.
        """
        path = self.folder / picture.sha
        if not path.exists():
            assert picture.data is not None
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".new.", dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(picture.data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            sync_folder(self.folder)
        return ImageRef(picture.sha, path=str(path))

    def find(self, sha: str) -> ImageRef | None:
        """A kept picture; ``None`` where there is none.

        Saved edits of others say what they like as the hash of their picture: a path must not be taken for one.
        """
        path = self.folder / sha if SHA.fullmatch(sha) else None
        return ImageRef(sha, path=str(path)) if path is not None and path.is_file() else None


def _from_data_url(url: str, limits: Limits) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise RequestError("image: a data: URL without a comma; send data:image/png;base64,…")
    if head.endswith(";base64"):
        return _decode_base64(body, limits)
    return unquote_to_bytes(body.encode("utf-8", "replace"))


def _decode_base64(text: str, limits: Limits) -> bytes:
    if len(text) * 3 // 4 > limits.image_bytes + 4:
        raise RequestError(f"image: at most {limits.image_bytes} bytes", status=413)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise RequestError("image: no valid base64; send data:image/png;base64,…") from None
