"""Decoding: every kind of file a user has, and every way in which one can be broken."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from data_modules.images import decode
from data_modules.records import ImageRef, RecordError


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> ImageRef:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return ImageRef.from_bytes(buffer.getvalue())


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """A PNG by hand: a header that promises a size, whatever the pixels are."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),  # a fifth of black over white
        ("LA", (0, 0), (255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 40, (40, 40, 40)),  # a shift by 8 bit would agree, clipping would not
        ("I;16", 200, (1, 1, 1)),  # dark in 16 bit: scaled by the range, not taken as it is
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
    ],
)
def test_modes(mode: str, colour: object, expected: tuple[int, int, int]) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = decode(encoded(Image.new(mode, (5, 4), colour), kind))  # type: ignore[arg-type]
    assert (image.mode, image.size) == ("RGB", (5, 4))
    assert image.getpixel((2, 2)) == expected


def test_float_and_wide_grey() -> None:
    values = np.linspace(0.0, 1.0, 12, dtype=np.float32).reshape(3, 4)
    image = np.asarray(decode(encoded(Image.fromarray(values), "TIFF")))
    np.testing.assert_array_equal(image[..., 0], np.rint(values * 255))
    wide = np.array([[0, 1_000_000]], dtype=np.int32)
    assert np.asarray(decode(encoded(Image.fromarray(wide), "TIFF")))[0, :, 1].tolist() == [0, 255]


def test_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (3, 3), 1)
    image.putpalette([0, 0, 0, 0, 200, 0])
    assert decode(encoded(image)).getpixel((0, 0)) == (0, 200, 0)
    assert decode(encoded(image, transparency=1)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_shows_the_picture_upright(orientation: int) -> None:
    """Red left, blue right when upright; every orientation tag of the same scene decodes to that."""
    upright = Image.new("RGB", (32, 16), "red")
    upright.paste("blue", (16, 0, 32, 16))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that stores it under that tag
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encoded(stored, "JPEG", quality=95, exif=exif.tobytes()))
    assert image.size == (32, 16)
    left, right = np.asarray(image)[8, 4], np.asarray(image)[8, 28]
    assert left[0] > 200 > left[2]
    assert right[2] > 200 > right[0]


@pytest.mark.parametrize("convert", [False, True])
def test_an_opened_picture_is_the_file_it_was_opened_from(convert: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encoded(Image.fromarray(np.arange(96, dtype=np.uint8).reshape(6, 16)), "PNG", exif=exif.tobytes())
    opened = Image.open(io.BytesIO(file.data or b""))
    given = opened.convert("RGB") if convert else opened
    kept = ImageRef.from_pil(given).open()
    assert kept.size == (6, 16)
    assert np.array_equal(np.asarray(kept), np.asarray(decode(file)))
    again = ImageRef.from_pil(ImageOps.exif_transpose(opened)).open()
    assert np.array_equal(np.asarray(again), np.asarray(kept)), "what is upright stays so"


def test_damaged_exif_costs_the_rotation_not_the_picture() -> None:
    image = encoded(Image.new("RGB", (6, 4), "red"), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert decode(image).size == (6, 4)


def test_one_pixel_and_animation() -> None:
    assert decode(encoded(Image.new("RGB", (1, 1), (1, 2, 3)))).getpixel((0, 0)) == (1, 2, 3)
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    first = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert first.getpixel((0, 0)) == (255, 0, 0)


def test_thirty_megapixels_are_taken(tmp_path: Path) -> None:
    Image.new("L", (6000, 5000), 7).save(tmp_path / "big.png")
    assert decode(ImageRef.from_path(tmp_path / "big.png")).size == (6000, 5000)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_oversized_is_refused_from_its_header(side: int) -> None:
    with pytest.raises(RecordError, match=r"above the limit of 64 million pixels") as caught:
        decode(ImageRef.from_bytes(png(side, side)))
    assert "\n" not in str(caught.value)


def test_the_limit_is_a_parameter() -> None:
    ref = encoded(Image.new("RGB", (20, 20)))
    assert decode(ref, max_pixels=400).size == (20, 20)
    with pytest.raises(RecordError, match="20x20 pixels"):
        decode(ref, max_pixels=399)


def jpeg_cut() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()[:2000]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a picture"),
        (b"not a picture at all", "not a picture"),
        (png(40, 40), "truncated|damaged|not a picture"),
        (png(40, 40, b"\0" * 50), "truncated"),
        (jpeg_cut(), "truncated"),
        (png(4, 4)[:20], "truncated"),
    ],
)
def test_broken_files_say_so_in_one_line(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(RecordError, match=said) as caught:
        ImageRef.from_path(path).open()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_vanished(tmp_path: Path) -> None:
    path = tmp_path / "gone.png"
    Image.new("RGB", (2, 2)).save(path)
    ref = ImageRef.from_path(path)
    path.unlink()
    with pytest.raises(RecordError, match="no such file"):
        ref.open()
    with pytest.raises(RecordError, match="neither path nor bytes"):
        decode(ImageRef(sha="0" * 64))
