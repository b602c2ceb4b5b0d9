"""Pictures that clients send: bombs, other formats and addresses are refused before they cost anything."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_modules.records import ImageRef, RecordError
from rv_edit.app.errors import RequestError
from rv_edit.app.pictures import PictureFolder, Room, decode_picture, read_picture
from tests.app.conftest import settings

CHOSEN = settings(Path("unused"))
LIMITS, REMOTE = CHOSEN.limits, CHOSEN.remote


def encoded(kind: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind)
    return buffer.getvalue()


def bomb(side: int = 50_000) -> bytes:
    """A PNG of a few hundred bytes whose header asks for gigabytes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_pictures_come_as_data_urls(kind: str) -> None:
    data = encoded(kind)
    text = base64.b64encode(data).decode()
    for url in (f"data:image/{kind.lower()};base64,{text}", text, f"data:;base64,{text[:20]}\n{text[20:]}"):
        shown = read_picture(url, LIMITS, REMOTE)
        assert shown.open().size == (8, 6) and shown.sha == ImageRef.from_bytes(data).sha
        assert np.array_equal(np.asarray(shown.open()), np.asarray(ImageRef.from_bytes(data).open()))
    quoted = "".join(f"%{byte:02x}" for byte in data)
    assert read_picture(f"data:image/png,{quoted}", LIMITS, REMOTE).sha == shown.sha


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (bomb(), 413, "pixels"),
        (bomb(6000), 413, "36000000|6000x6000"),
        (encoded("TIFF"), 400, "not one of PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 400, "not one of"),
        (b"", 400, "not one of"),
        (b"<svg onload='x'/>", 400, "not one of"),
    ],
)
def test_what_is_no_small_picture_is_refused_by_its_header(data: bytes, status: int, said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        decode_picture(data, LIMITS)
    assert caught.value.status == status and "\n" not in str(caught.value)


def test_a_truncated_picture_is_a_bad_record() -> None:
    with pytest.raises(RecordError, match="truncated|damaged"):
        decode_picture(encoded("PNG", (200, 200))[:-200], LIMITS)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("data:image/png;base64", "without a comma"),
        ("data:image/png;base64,%%%", "no valid base64"),
        ("http://example.org/a.png", "not fetched from addresses"),
        ("//example.org/a.png", "not fetched from addresses"),
        ("file:///etc/passwd", "not fetched from addresses"),
        ("../../etc/passwd", "base64|not one of"),
        ("/etc/passwd", "base64|not one of"),
        ("\ud800", "base64"),
    ],
)
def test_nothing_else_is_read(url: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        read_picture(url, LIMITS, REMOTE)


def test_size_is_checked_before_decoding() -> None:
    small = replace(LIMITS, image_bytes=50)
    for url in (base64.b64encode(encoded()).decode(), "data:image/png," + "x" * 51):
        with pytest.raises(RequestError, match="at most 50") as caught:
            read_picture(url, small, REMOTE)
        assert caught.value.status == 413


def test_kept_pictures_are_named_by_their_content(tmp_path: Path) -> None:
    folder = PictureFolder(tmp_path / "pictures")
    shown = decode_picture(encoded(), LIMITS)
    kept = folder.keep(shown)
    assert Path(kept.path or "").read_bytes() == shown.data and kept.sha == shown.sha == Path(kept.path or "").name
    assert folder.keep(shown) == kept and len(list((tmp_path / "pictures").iterdir())) == 1
    assert folder.find(shown.sha) == kept
    secret = tmp_path / "secret"
    secret.write_text("a key", encoding="ascii")
    # Saved edits of others say what the hash of their picture is.
    for nowhere in ("", "0" * 64, "../secret", str(secret), f"{shown.sha}/../../../secret", f"{shown.sha}\n"):
        assert folder.find(nowhere) is None


def test_pictures_in_memory_are_bounded_together() -> None:
    room = Room(100)
    first = decode_picture(encoded(), LIMITS, room)
    second = decode_picture(encoded("JPEG"), LIMITS, room)
    assert room.taken == 96
    with pytest.raises(RequestError, match="too many large pictures wait") as caught:
        decode_picture(encoded("BMP"), LIMITS, room)
    assert caught.value.status == 503 and room.taken == 96
    with pytest.raises(RecordError):
        decode_picture(encoded("PNG", (2, 2))[:-30], LIMITS, room)
    assert room.taken == 96, "what cannot be decoded takes up nothing"
    del first
    kept = second.open()
    del second
    assert room.taken == 48 and decode_picture(encoded("BMP"), LIMITS, room).open().size == kept.size
    del kept
    assert room.taken == 0
    alone = decode_picture(encoded(size=(50, 50)), LIMITS, room)
    assert alone.open().size == (50, 50), "one alone is let in: a small room must not shut everybody out"
