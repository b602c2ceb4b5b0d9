"""A-OKVQA in its original layout: ``aokvqa_v1p0_{split}.json`` and ``coco/{split}2017/{image id:012}.jpg``.

The three rationales are three annotators' independent sentences; here they are the reasoning as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_modules.qa_record import QARecord, ReadReport, clean_sentences, merge_choices
from data_modules.reading import SUFFIXES, ImageFolder, collect, first_existing, load_json, text_of, texts_of
from data_modules.records import RecordError
from data_modules.text import clean_text

SPLITS = ("train", "val", "test")
_CONSUMED = {"question_id", "question", "choices", "rationales"}


def read_aokvqa(
    root: str | Path,
    split: str = "val",
    *,
    version: str = "v1p0",
    check_images: bool = False,
    report: ReadReport | None = None,
) -> list[QARecord]:
    """Read a split, or several joined by ``+`` (the paper's pool is ``train+val``), in file order.

    Args:
        root: folder with ``aokvqa_{version}_{split}.json`` (or ``aokvqa/aokvqa_…``) and ``coco/``; the latter
            may also lie beside ``root``.
        split: ``train``, ``val`` or e.g. ``train+val``. ``test`` has no answers, so no record of it is usable.
        version: release of the annotations.
        check_images: decode every picture now instead of at first use.
        report: filled with what was kept, skipped and merged.

    Raises:
        RecordError: unknown split, a file missing or not JSON, or no usable record.
    """
    base = Path(root)
    report = ReadReport() if report is None else report
    report.source = report.source or f"A-OKVQA {split}"
    pictures: dict[str, ImageFolder] = {}

    def items() -> Iterator[tuple[str, Any]]:
        for name in split.split("+"):
            if name not in SPLITS:
                raise RecordError(f"split '{name}': A-OKVQA has {', '.join(SPLITS)}, joined by '+'")
            file = f"aokvqa_{version}_{name}.json"
            path = first_existing([base / file, base / "aokvqa" / file], f"A-OKVQA {name} annotations")
            folders = [base / "coco" / f"{name}2017", base.parent / "coco" / f"{name}2017"]
            pictures[name] = ImageFolder(first_existing(folders, f"COCO {name}2017 pictures"), check_images)
            rows = load_json(path)
            if not isinstance(rows, list):
                raise RecordError(f"{path}: a JSON list is expected, found {type(rows).__name__}")
            for row in rows:
                known = isinstance(row, dict)
                # The split tells where the picture lies; the file's own name decides, not the field.
                yield (str(row.get("question_id") or "") if known else ""), ({**row, "split": name} if known else row)

    def parse(record_id: str, raw: dict[str, Any]) -> QARecord:
        listed = texts_of(raw, "choices")
        index = raw.get("correct_choice_idx")
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(listed):
            raise RecordError(f"answer not among the choices (correct_choice_idx is {index!r} of {len(listed)})")
        choices, answer, merged = merge_choices(listed, listed[index])
        reasoning, repeated = clean_sentences(texts_of(raw, "rationales"))
        image_id = raw.get("image_id")
        if not isinstance(image_id, int) or isinstance(image_id, bool) or image_id < 0:
            raise RecordError(f"image_id is {image_id!r}, a COCO image number is expected")
        question = clean_text(text_of(raw, "question"))
        image = pictures[raw["split"]].find(f"{image_id:012}", SUFFIXES)
        report.counts["merged_choices"] += bool(merged)
        report.counts["duplicate_reasoning"] += bool(repeated)
        extras = {key: value for key, value in raw.items() if key not in _CONSUMED}
        return QARecord(record_id, image, question, choices, answer, reasoning, extras)

    return collect(report.source, items(), parse, report)
