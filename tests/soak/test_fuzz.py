"""Damaged files of every kind: read, or refused as bad input in one line; never another exception."""

from __future__ import annotations

import hashlib
import io
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import torch as safetensors

from data_modules.aokvqa import read_aokvqa
from data_modules.fvqa import read_fvqa
from data_modules.images import decode
from data_modules.records import ImageRef, RecordError
from rv_edit.codebook import Codebook
from rv_edit.embedding import KeySpace
from rv_edit.errors import ConfigError
from tests.codebook.test_state import full_book

pytestmark = pytest.mark.soak

SECONDS = 8
"""For each kind of file."""
NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 10**30, 10**400, 1e308, float("inf"), float("nan"), "", " ", "\x00", "\ud83d",
    "\u200d",
    "\u202e\n\x1b[31m", "🐈‍⬛", "x" * 5000, "../../etc/passwd", "(a,b)", "(,,)", "[[", "yes", [], [[]],
    [None], ["a", 1],
    ["a", "A"], ["a", "b"], {}, {"a": 1}, "percentile", "mean", "last",
)  # fmt: skip


def turns(seed: int) -> Iterator[random.Random]:
    """A generator for each try, until the time is up."""
    end, turn = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        yield random.Random(f"{seed} {turn}")
        turn += 1
    assert turn > 20, "too slow to find anything"


def refused(read: Callable[[], Any], *kinds: type[ValueError]) -> None:
    """``read`` works, or says in one line what is wrong."""
    said = "nothing"
    try:
        read()
    except kinds as error:
        said = str(error)
    assert said and "\n" not in said


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Bytes changed, cut out, doubled, cut off, or all of them random."""
    buffer = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5, 30))):
        at = draw.randrange(len(buffer) + 1)
        end = min(len(buffer), at + draw.choice((1, 2, 4, 50)))
        match draw.randrange(6):
            case 0 | 1:
                buffer[at:end] = draw.randbytes(end - at)
            case 2:
                del buffer[at:end]
            case 3:
                buffer[at:at] = buffer[at:end]
            case 4:
                buffer[at:end] = draw.choice((b"\x00", b"\xff", b"\x7f")) * (end - at)
            case _:
                if draw.random() < 0.2:
                    del buffer[at:]
    return bytes(buffer)


def mutated(value: Any, draw: random.Random) -> Any:
    """A JSON value with something in it replaced, removed or doubled."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        rest = {name: item for name, item in value.items() if name != key}
        match draw.randrange(8):
            case 0:
                return rest
            case 1:
                return {**rest, str(draw.choice(NASTY)): value[key]}
            case _:
                return {**value, key: mutated(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        match draw.randrange(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value, value[at]]
            case _:
                return [*value[:at], mutated(value[at], draw), *value[at + 1 :]]
    return draw.choice(NASTY)


def json_bytes(value: Any, draw: random.Random) -> bytes:
    """A document with one to five mutations, one time in five with damaged bytes as well."""
    for _ in range(draw.randint(1, 5)):
        value = mutated(value, draw)
    data = json.dumps(value).encode()
    return damaged(data, draw) if draw.random() < 0.2 else data


def pictures() -> list[bytes]:
    """Small pictures of many formats and modes."""
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x112] = 6
    grey16 = Image.fromarray(np.arange(0, 60000, 100, dtype=np.uint16).reshape(20, 30))
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "PNG", {}), (rgb.convert("P"), "PNG", {"transparency": 3}), (rgb.convert("RGBA"), "PNG", {}),
        (rgb.convert("LA"), "PNG", {}), (grey16, "PNG", {}), (rgb.convert("1"), "PNG", {}),
        (rgb, "JPEG", {"exif": turned}), (rgb, "JPEG", {"progressive": True}), (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "GIF", {"save_all": True, "append_images": [rgb.rotate(90)]}), (rgb, "BMP", {}), (rgb, "TIFF", {}),
        (grey16, "TIFF", {}), (rgb.convert("L").convert("F"), "TIFF", {}), (rgb, "WEBP", {}), (rgb, "PPM", {}),
        (rgb, "ICO", {}), (rgb, "TGA", {}), (rgb, "PCX", {}),
    ]  # fmt: skip
    encoded = []
    for image, kind, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        encoded.append(buffer.getvalue())
    return encoded


def test_pictures() -> None:
    originals = pictures()
    for data in originals:
        assert decode(ImageRef.from_bytes(data)).mode == "RGB"

    def look(data: bytes) -> None:
        image = decode(ImageRef.from_bytes(data), max_pixels=4_000_000)
        assert image.mode == "RGB" and min(image.size) >= 1 and not image.info
        image.tobytes()

    for draw in turns(0):
        data = draw.choice(originals)
        data = draw.randbytes(draw.randrange(300)) if draw.random() < 0.05 else damaged(data, draw)
        refused(lambda data=data: look(data), RecordError)  # type: ignore[misc]


def checked(records: list[Any]) -> None:
    """What every later part relies on."""
    assert records and len({record.id for record in records}) == len(records)
    for record in records:
        assert record.id and record.question and len(set(record.choices)) >= 2 and record.answer in record.choices
        json.dumps([record.id, record.question, record.choices, record.reasoning], ensure_ascii=False).encode()
        record.as_edit()


def test_aokvqa(tmp_path: Path) -> None:
    (tmp_path / "coco/val2017").mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (8, 6)).save(tmp_path / f"coco/val2017/{number:012}.jpg")
    rows = [
        {
            "split": "val", "image_id": number, "question_id": f"q{number}", "question": "What is it?",
            "choices": ["cat", "dog", "cow", "hen"], "correct_choice_idx": number, "rationales": ["It moos.", "Ha."],
            "direct_answers": ["cow"] * 3, "difficult_direct_answer": False,
        }
        for number in range(4)
    ]  # fmt: skip
    path = tmp_path / "aokvqa_v1p0_val.json"
    for draw in turns(1):
        path.write_bytes(json_bytes(rows, draw))
        refused(lambda: checked(read_aokvqa(tmp_path, "val", check_images=True)), RecordError)


def test_fvqa(tmp_path: Path) -> None:
    release = tmp_path / "new_dataset_release"
    (release / "images").mkdir(parents=True)
    (tmp_path / "Name_Lists").mkdir()
    Image.new("RGB", (8, 6)).save(release / "images/a.jpg")
    answers = ["cat", "dog", "cow", "hen", "Yes", "owl"]
    table = {
        str(index): {
            "fact_surface": f"[[{answer}]] is a kind of [[animal]]" if index % 2 else f"({answer},/r/IsA,an animal)",
            "ans_source": "image", "answer": answer, "question": "Which animal is it?", "img_file": "a.jpg",
            "visual_concept": "obj", "kb_source": "conceptnet", "fact": ["conceptnet/e/1"], "question_id": str(index),
            **({"choices": [answer, "ox"], "visual_link": ["it is seen"], "rationale": "so"} if index == 3 else {}),
        }
        for index, answer in enumerate(answers)
    }  # fmt: skip
    names = tmp_path / "Name_Lists/test_list_0.txt"
    for draw in turns(2):
        (release / "all_qs_dict_release.json").write_bytes(json_bytes(table, draw))
        names.write_bytes(b"a.jpg\n" if draw.random() < 0.7 else damaged(b"a.jpg\nb.jpg\n", draw))
        subset = draw.choice(("all", "test"))
        refused(lambda subset=subset: checked(read_fvqa(tmp_path, subset)), RecordError)  # type: ignore[misc]


def test_key_spaces(tmp_path: Path) -> None:
    space = KeySpace(layer=1, lam=1.0, vision_norm=2.0, text_norm=1.0, calibration={"pairs": 4})
    path = space.save(tmp_path / "k.json")
    whole = json.loads(path.read_text())
    for draw in turns(3):
        path.write_bytes(b"[" * 100_000 if draw.random() < 0.01 else json_bytes(whole, draw))
        refused(lambda: KeySpace.load(path), ConfigError)


def test_codebooks_with_damaged_files(tmp_path: Path) -> None:
    book = full_book()
    book.save(tmp_path)
    paths = [tmp_path / "codebook.safetensors", tmp_path / "codebook.jsonl"]
    whole = [path.read_bytes() for path in paths]
    for draw in turns(4):
        for path, data in zip(paths, whole, strict=True):
            path.write_bytes(data)
        at = draw.randrange(2)
        paths[at].write_bytes(damaged(whole[at], draw))

        def load() -> None:
            assert Codebook.load(tmp_path).checksum() == book.checksum()

        refused(load, ConfigError)


def test_codebooks_that_were_tampered_with(tmp_path: Path) -> None:
    """Records changed and both files' hashes made to agree again: what only the contents can tell."""
    book = full_book()
    book.save(tmp_path)
    tensors = safetensors.load((tmp_path / "codebook.safetensors").read_bytes())
    lines = [json.loads(text) for text in (tmp_path / "codebook.jsonl").read_text(encoding="utf-8").splitlines()]
    for draw in turns(5):
        changed = mutated(lines, draw)
        if not isinstance(changed, list):
            continue
        text = "".join(json.dumps(line) + "\n" for line in changed).encode()
        about = {"records_sha256": hashlib.sha256(text).hexdigest(), "schema": draw.choice((1, 1, 1, 2, None))}
        data = safetensors.save(tensors, {"codebook": json.dumps(about)})
        (tmp_path / "codebook.safetensors").write_bytes(data)
        (tmp_path / "codebook.jsonl").write_bytes(text)

        def load() -> None:
            loaded = Codebook.load(tmp_path)
            loaded.retrieve(loaded.keys.float()[:2])
            loaded.save(tmp_path / "again")

        refused(load, ConfigError)
