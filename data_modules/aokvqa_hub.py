"""A-OKVQA as the hub has it (``HuggingFaceM4/A-OKVQA``): parquet with the pictures inside.

It differs from the original files: the middle split is called ``validation``, ``direct_answers`` is one text (a list as
Python writes it), and no row says which COCO picture it shows, so COCO's captions cannot be joined. The pictures are
taken out into the cache once; after that neither the hub nor its library is needed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_modules.aokvqa import aokvqa_record, splits_of
from data_modules.extracted import Extracted, Row
from data_modules.hub_tables import HubTable
from data_modules.qa_record import QARecord, ReadReport
from data_modules.reading import ImageFolder, collect
from data_modules.records import ImageRef, RecordError

HUB = "HuggingFaceM4/A-OKVQA"
HUB_SPLITS = {"train": "train", "val": "validation", "test": "test"}
COLUMNS = {
    "image": "picture",
    "question_id": "text",
    "question": "text",
    "choices": "list of texts",
    "correct_choice_idx": "whole number",
    "direct_answers": "text",
    "difficult_direct_answer": "yes or no",
    "rationales": "list of texts",
}
_log = logging.getLogger(__name__)


def read_aokvqa_hub(
    source: str = HUB,
    split: str = "train+val",
    *,
    cache: str | Path | None,
    streaming: bool = True,
    check_images: bool = False,
    report: ReadReport | None = None,
) -> list[QARecord]:
    """Read a split, or several joined by ``+``, in the order of the rows.

    Args:
        source: name on the hub, or a folder with its parquet or arrow files.
        split: ``train``, ``val``, ``test`` or e.g. ``train+val``, as for the original files.
        cache: folder below which pictures and rows are kept, about 1.1 GB for ``train+val``.
        streaming: read the hub's files while they arrive; ``False``: into the hub's own cache first.
        check_images: decode every picture now instead of at first use.
        report: filled with what was kept, skipped and merged.

    Raises:
        RecordError: unknown split; the hub cannot be reached; a damaged file; other columns; no room; no usable record.
    """
    if cache is None:
        raise RecordError("A-OKVQA of the hub keeps its pictures in cache=<folder>, but it is null")
    names = splits_of(split)
    report = ReadReport() if report is None else report
    report.source = report.source or f"A-OKVQA {split} of {source}"
    places = {name: Path(cache).expanduser() / "aokvqa_hub" / _key(source) / name for name in names}
    folders = {name: ImageFolder(place, check_images) for name, place in places.items()}
    seen: set[str] = set()

    def items() -> Iterator[tuple[str, Any]]:
        for name in names:
            for row in _rows(source, name, places[name], streaming):
                seen.add(str(row["image"].get("file")))
                yield str(row.get("question_id") or ""), {**row, "split": name}

    def parse(record_id: str, raw: dict[str, Any]) -> QARecord:
        def image() -> ImageRef:
            file = raw["image"].get("file")
            if file is None:
                raise RecordError("the row holds no picture")
            return folders[raw["split"]].find(file)

        plain = {key: value for key, value in raw.items() if key != "image"}
        plain["direct_answers"] = direct_answers(raw.get("direct_answers"))
        return aokvqa_record(record_id, plain, image, report)

    try:
        return collect(report.source, items(), parse, report)
    finally:
        report.pictures = len(seen - {"None"})


def direct_answers(text: Any) -> list[str]:
    """The list that a text holds as Python writes it; a list as it is; empty where there is none.

    >>> direct_answers("['race', 'the race']"), direct_answers(None)
    (['race', 'the race'], [])
    """
    if isinstance(text, str):
        try:
            text = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise RecordError(f"direct_answers {text[:60]!r} is not a list as Python writes it") from error
    if text is None:
        return []
    if not isinstance(text, (list, tuple)) or not all(isinstance(item, str) for item in text):
        raise RecordError("direct_answers is not a list of texts")
    return list(text)


def _rows(source: str, split: str, place: Path, streaming: bool) -> list[Row]:
    def fresh(start: int) -> Iterator[Row]:
        _log.info("%s: taking the pictures of %s out into %s, once", source, split, place)
        return HubTable(source, HUB_SPLITS[split], COLUMNS, streaming=streaming, only=True).rows(start)

    return Extracted(place).rows(fresh)


def _key(source: str) -> str:
    """The hub's name, or a copy by its files' names, sizes and times: a new copy is not taken for an old one."""
    path = Path(source).expanduser()
    if not path.exists():
        return source.replace("/", "--")
    files = sorted(found for found in path.rglob("*") if found.suffix in (".parquet", ".arrow"))
    told = [(str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return "copy-" + hashlib.sha256(json.dumps([str(path.resolve()), told]).encode()).hexdigest()[:16]
