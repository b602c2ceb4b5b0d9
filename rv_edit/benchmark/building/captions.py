"""A sentence about each edit's picture: COCO's where there is one, else a VLM's (appendix B, Image Generality)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_modules.images import image_name
from data_modules.published import captions_command
from data_modules.qa_record import QARecord
from data_modules.reading import load_json
from data_modules.records import RecordError
from data_modules.text import as_sentence, clean_text
from rv_edit.benchmark.building.checking import VLMChecker
from rv_edit.benchmark.building.journal import Journal
from rv_edit.benchmark.cache import digest


@dataclass(frozen=True)
class Caption:
    """A sentence about a picture, and where it comes from; no ``text``, no ``origin``: there is none."""

    text: str = ""
    origin: Mapping[str, Any] | None = None


_COCO_NAME = re.compile(r"(?:^|_)(\d{12})\.\w+$")


def read_captions(paths: Sequence[str | Path]) -> dict[int, str]:
    """The first caption of each picture in COCO's ``captions_*.json`` files, by COCO's image number.

    Raises:
        RecordError: missing, not JSON, or not of COCO's form.
    """
    found: dict[int, tuple[int, str]] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise RecordError(f"task.captions: {path}: no such file; get it: {captions_command(path.parent)}")
        content = load_json(path)
        rows = content.get("annotations") if isinstance(content, dict) else None
        if not isinstance(rows, list):
            raise RecordError(f"{path}: no list 'annotations' in it; give COCO's captions_<split>.json")
        for row in rows:
            if not isinstance(row, dict):
                continue
            image, number, text = row.get("image_id"), row.get("id"), row.get("caption")
            if isinstance(image, int) and isinstance(number, int) and isinstance(text, str) and clean_text(text):
                # The files list captions in no particular order: the lowest number is the same in every copy.
                found[image] = min(found.get(image, (number, text)), (number, text))
    return {image: as_sentence(text) for image, (_, text) in found.items()}


def coco_number(record: QARecord) -> int | None:
    """COCO's number of a record's picture: from the data set's own field, else from the file's name.

    >>> from data_modules.records import ImageRef
    >>> picture = ImageRef("sha", "images/COCO_val2014_000000000139.jpg")
    >>> coco_number(QARecord("q", picture, "?", ("a", "b"), "a"))
    139
    """
    number = record.extras.get("image_id")
    if isinstance(number, int) and not isinstance(number, bool):
        return number
    match = _COCO_NAME.search(Path(record.image.path or "").name)
    return int(match.group(1)) if match else None


def own_caption(record: QARecord, known: Mapping[int, str]) -> Caption | None:
    """The caption that a record brings along, or COCO's."""
    given = record.extras.get("caption")
    if isinstance(given, str) and clean_text(given):
        return Caption(as_sentence(given), {"kind": "record"})
    number = coco_number(record)
    if number is None or number not in known:
        return None
    return Caption(known[number], {"kind": "coco", "image_id": number})


def caption_all(
    records: Sequence[QARecord],
    known: Mapping[int, str],
    checker: VLMChecker | None,
    journal: Journal,
    batch_size: int,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Caption]:
    """A caption for each record, by its id; empty where there is none and nobody to ask.

    Raises:
        RecordError: a picture that must be looked at cannot be decoded.
    """
    captions: dict[str, Caption] = {}
    todo: dict[str, list[QARecord]] = {}
    for record in records:
        found = own_caption(record, known)
        if found is None and checker is not None:
            kept = journal.get(_key(checker, record))
            if kept is None:
                todo.setdefault(record.image.sha, []).append(record)
                continue
            found = Caption(str(kept["text"]), checker.captioned_by)
        captions[record.id] = found or Caption()
    progress(len(captions))
    groups = list(todo.values())
    for start in range(0, len(groups), batch_size):
        part = groups[start : start + batch_size]
        assert checker is not None  # else nothing is left to do
        checker.load()
        started = time.perf_counter()
        texts = checker.caption([same[0].image.open() for same in part])
        seconds = round((time.perf_counter() - started) / len(part), 3)
        for same, text in zip(part, texts, strict=True):
            sentence = as_sentence(text)
            row = {"kind": "caption", "image": image_name(same[0].image), "text": sentence, "seconds": seconds}
            journal.put(_key(checker, same[0]), row)
            captions.update({record.id: Caption(sentence, checker.captioned_by) for record in same})
            progress(len(same))
    return captions


def _key(checker: VLMChecker, record: QARecord) -> str:
    return digest("caption", checker.captioned_by, record.image.sha)
