"""Decoding of pictures: whatever file a user has becomes 8-bit RGB, upright and opaque, or one clear line.

Decoding is late and not cached: the parts that ask a picture several questions keep its features instead.
"""

from __future__ import annotations

import io
import os
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from data_modules.records import RecordError

if TYPE_CHECKING:
    from data_modules.records import ImageRef

MAX_PIXELS = 64_000_000
"""Largest picture that is decoded, in pixels: above any camera in use, below what a bomb expands to."""


def image_name(ref: ImageRef) -> str:
    """How messages name a picture: its path, or the start of its hash."""
    return ref.path if ref.path is not None else f"{ref.sha[:12]} (given as bytes)"


def decode(ref: ImageRef, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode ``ref`` to an RGB picture of its own size.

    EXIF rotation is applied, transparency lies on white, 16-bit and float grey values are scaled to 8 bit, the
    first frame of an animation is taken. The size is read from the header first, so that an oversized file is
    refused before its pixels take memory.

    Args:
        ref: the picture, by path or by bytes.
        max_pixels: width × height above which a picture is refused.

    Raises:
        RecordError: missing, unreadable, truncated or oversized.
    """
    name = image_name(ref)
    try:
        source = io.BytesIO(ref.data) if ref.data is not None else ref.path
        if source is None:
            raise RecordError(f"image {name}: neither path nor bytes; give one of them")
        with warnings.catch_warnings():
            # The limit below is ours; the library's advice on sizes and odd metadata would be a second voice.
            warnings.simplefilter("ignore")
            with Image.open(source) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise RecordError(_oversized(name, f"{width}x{height} pixels", max_pixels))
                image.load()
                return to_rgb(upright(image))
    except (RecordError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise RecordError(_oversized(name, "a decompression bomb", max_pixels)) from error
    except OSError as error:
        raise RecordError(f"image {name}: {_reason(error)}; replace the file") from error
    except Exception as error:  # damaged files make the decoders raise nearly anything (struct, zlib, Syntax, …)
        raise RecordError(f"image {name}: damaged ({type(error).__name__}); replace the file") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL mode to RGB: transparency on white, grey values of more than 8 bit scaled, the rest converted."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    # A fresh picture also where nothing is converted: the caller's must not carry the file's metadata along.
    plain = image.convert("RGB")
    plain.info = {}
    return plain


def _scaled(image: Image.Image) -> Image.Image:
    """Grey values of 16 bit (or wider, or float) to 8 bit RGB.

    16-bit files are scaled by their range, not by their content, so that equal values look equal in any file.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    if image.mode == "F":
        span = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else top
    else:
        span = 65535.0 if top <= 65535.0 else top
    grey = np.clip(np.rint(values * (255.0 / span)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF rotation; a damaged EXIF block rotates nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - the tag is optional, the pixels are not: a bad tag must not cost the picture
        return image


def _oversized(name: str, what: str, max_pixels: int) -> str:
    return f"image {name}: {what}, above the limit of {max_pixels / 1e6:g} million pixels; scale it down"


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if error.errno is not None:
        return f"cannot be read ({os.strerror(error.errno)})"
    text = str(error)
    return "truncated" if "truncated" in text.lower() else "not a picture that can be decoded"
