"""A-OKVQA in its original layout: ``aokvqa_v1p0_{split}.json`` and ``coco/{split}2017/{image id:012}.jpg``.

The three rationales are three annotators' independent sentences; here they are the reasoning as they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data_modules.published import aokvqa_command, coco_command, note_missing
from data_modules.qa_record import QARecord, ReadReport, clean_sentences, merge_choices
from data_modules.reading import SUFFIXES, ImageFolder, collect, first_existing, load_json, text_of, texts_of
from data_modules.records import ImageRef, RecordError
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
    # All files first: a missing one is named before minutes go into the pictures of another.
    names = splits_of(split)
    files = {name: _annotations(base, name, version) for name in names}
    pictures = {name: ImageFolder(_coco(base, name), check_images) for name in names}
    seen: set[tuple[str, str]] = set()

    def items() -> Iterator[tuple[str, Any]]:
        for name in names:
            rows = load_json(files[name])
            if not isinstance(rows, list):
                raise RecordError(f"{files[name]}: a JSON list is expected, found {type(rows).__name__}")
            for row in rows:
                known = isinstance(row, dict)
                if known:
                    seen.add((name, str(row.get("image_id"))))
                # The split tells where the picture lies; the file's own name decides, not the field.
                yield (str(row.get("question_id") or "") if known else ""), ({**row, "split": name} if known else row)

    def parse(record_id: str, raw: dict[str, Any]) -> QARecord:
        def image() -> ImageRef:
            image_id = raw.get("image_id")
            if not isinstance(image_id, int) or isinstance(image_id, bool) or image_id < 0:
                raise RecordError(f"image_id is {image_id!r}, a COCO image number is expected")
            return pictures[raw["split"]].find(f"{image_id:012}", SUFFIXES)

        return aokvqa_record(record_id, raw, image, report)

    try:
        return collect(report.source, items(), parse, report)
    finally:
        report.pictures = len(seen)
        for name in names:
            note_missing(report, f"COCO {name}2017 pictures", len(pictures[name].missing), coco_command(base, name))


def splits_of(split: str) -> list[str]:
    """The splits that ``split`` names, each once, in its order.

    Raises:
        RecordError: one is unknown or named twice.
    """
    names = split.split("+")
    for place, name in enumerate(names):
        if name not in SPLITS or name in names[:place]:
            raise RecordError(f"split '{split}': A-OKVQA has {', '.join(SPLITS)}, joined by '+', each once")
    return names


def aokvqa_record(record_id: str, raw: dict[str, Any], image: Callable[[], ImageRef], report: ReadReport) -> QARecord:
    """A record from a row with A-OKVQA's fields.

    Args:
        record_id: its ``question_id``.
        raw: the row.
        image: called for the picture once the text is known to be sound.
        report: where merged choices and repeated rationales are counted.

    Raises:
        RecordError: a field is missing or of another type, or the answer is not among the choices.
    """
    listed = texts_of(raw, "choices")
    index = raw.get("correct_choice_idx")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(listed):
        raise RecordError(f"answer not among the choices (correct_choice_idx is {index!r} of {len(listed)})")
    choices, answer, merged = merge_choices(listed, listed[index])
    reasoning, repeated = clean_sentences(texts_of(raw, "rationales"))
    question = clean_text(text_of(raw, "question"))
    picture = image()
    report.counts["merged_choices"] += bool(merged)
    report.counts["duplicate_reasoning"] += bool(repeated)
    extras = {key: value for key, value in raw.items() if key not in _CONSUMED}
    return QARecord(record_id, picture, question, choices, answer, reasoning, extras)


def _annotations(base: Path, split: str, version: str) -> Path:
    file = f"aokvqa_{version}_{split}.json"
    return first_existing([base / file, base / "aokvqa" / file], f"A-OKVQA {split} annotations", aokvqa_command(base))


def _coco(base: Path, split: str) -> Path:
    folders = [base / "coco" / f"{split}2017", base.parent / "coco" / f"{split}2017"]
    return first_existing(folders, f"COCO {split}2017 pictures", coco_command(base, split))
