"""A folder of one's own edits: ``edits.jsonl`` (or ``edits.csv``) and the pictures that it names.

One line is one edit, as ``schema/edit.schema.json`` describes it. In the table of :mod:`data_modules.own_csv` the same
fields have columns of their own, for those who write in a spreadsheet.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from data_modules.bundle import DataBundle
from data_modules.own_csv import read_csv
from data_modules.qa_record import QARecord, ReadReport, merge_choices
from data_modules.reading import ImageFolder, collect, first_existing, instead_of_data, text_of, texts_of
from data_modules.records import Box, RecordError
from data_modules.sources import folder_of
from data_modules.text import clean_text

SCHEMA = Path(__file__).with_name("schema") / "edit.schema.json"
"""The JSON schema of a line."""
NAMES = ("edits.jsonl", "edits.csv")
_CONSUMED = {"id", "image", "question", "choices", "answer", "reasoning", "evidence"}


def load_own(root: str | Path | None, name: str = "own", **options: Any) -> DataBundle:
    """One's own edits; ``options`` go to :func:`read_own`. No generated suites.

    Raises:
        RecordError: ``root`` is missing or holds no usable record.
    """
    report = ReadReport()
    return DataBundle(read_own(folder_of(root, name), report=report, **options), None, report, name)


def read_own(root: str | Path, *, check_images: bool = False, report: ReadReport | None = None) -> list[QARecord]:
    """Read the edits, in file order; a bad line is skipped and listed with its number.

    Args:
        root: the folder.
        check_images: decode every picture now instead of at first use.
        report: filled with what was kept, skipped and merged.

    Raises:
        RecordError: no ``edits.jsonl`` and no ``edits.csv``, both, an unreadable file, or no usable record.
    """
    base = Path(root)
    report = ReadReport() if report is None else report
    report.source = report.source or f"edits of {base}"
    path = first_existing([base / name for name in NAMES], "edits of one's own")
    if path.name == NAMES[0] and (base / NAMES[1]).exists():
        raise RecordError(f"{base}: {NAMES[0]} and {NAMES[1]} are both there; keep the one that counts")
    pictures = ImageFolder(base, check_images)
    seen: set[str] = set()

    def items() -> Iterator[tuple[str, Any]]:
        for record_id, raw in _lines(path) if path.suffix == ".jsonl" else read_csv(path):
            if isinstance(raw, dict):
                seen.add(str(raw.get("image")))
            yield record_id, raw

    try:
        return collect(report.source, items(), partial(_record, pictures, report), report)
    finally:
        report.pictures = len(seen)


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Ids and lines of a JSON-lines file, empty ones apart; one that is no object goes by its number."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error})") from error
    if (what := instead_of_data(data)) is not None:
        raise RecordError(f"{path}: {what}; write one JSON object a line")
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.strip():
            try:
                raw = json.loads(line)
            except (ValueError, RecursionError) as error:
                raw = RecordError(f"not valid JSON ({str(error)[:80]})")
            name = raw.get("id") if isinstance(raw, dict) else None
            yield (name.strip() if isinstance(name, str) else "") or f"line {number}", raw


def _record(pictures: ImageFolder, report: ReadReport, record_id: str, raw: dict[str, Any]) -> QARecord:
    text_of(raw, "id")
    choices, answer, merged = merge_choices(texts_of(raw, "choices"), text_of(raw, "answer"))
    question = clean_text(text_of(raw, "question"))
    reasoning = tuple(clean_text(sentence) for sentence in texts_of(raw, "reasoning"))
    if not all(reasoning):
        raise RecordError("field 'reasoning' has an empty sentence")
    evidence = evidence_of(raw.get("evidence"), len(reasoning))
    image = pictures.find(text_of(raw, "image"))
    report.counts["merged_choices"] += bool(merged)
    report.counts["with_evidence"] += bool(evidence)
    extras = {key: value for key, value in raw.items() if key not in _CONSUMED}
    return QARecord(record_id, image, question, choices, answer, reasoning, extras, evidence)


def evidence_of(value: Any, facts: int) -> dict[int, tuple[Box, ...]]:
    """Crops by the place of their fact.

    Raises:
        RecordError: not a mapping of places to lists of boxes, a place without a fact, or a box without an area.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RecordError("field 'evidence' is not a mapping of facts to crops")
    found: dict[int, tuple[Box, ...]] = {}
    for place, boxes in value.items():
        if not (str(place).isdecimal() and len(str(place)) < 10 and int(place) < facts):
            raise RecordError(f"evidence for fact {str(place)[:20]!r}, but there are {facts} facts, counted from 0")
        if not isinstance(boxes, list) or not boxes:
            raise RecordError(f"evidence of fact {place} is not a list of crops")
        found[int(place)] = tuple(_box(place, box) for box in boxes)
    return found


def _box(place: Any, box: Any) -> Box:
    numbers = isinstance(box, list) and len(box) == 4
    if not numbers or not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in box):
        raise RecordError(f"evidence of fact {place}: {str(box)[:60]} is not [left, top, right, bottom] in pixels")
    try:
        left, top, right, bottom = (float(x) for x in box)
    except OverflowError as error:
        raise RecordError(f"evidence of fact {place}: a crop's side has more digits than a picture could") from error
    if not (0 <= left < right and 0 <= top < bottom and math.isfinite(right) and math.isfinite(bottom)):
        raise RecordError(f"evidence of fact {place}: crop {box} has no area, or lies outside of the picture")
    return (left, top, right, bottom)
