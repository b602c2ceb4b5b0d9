"""Any data set's records as a folder of edits of one's own, read back by :func:`data_modules.own_edits.read_own`."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_modules.own_csv import write_csv
from data_modules.qa_record import QARecord
from data_modules.records import ImageRef, RecordError

FORMATS = ("jsonl", "csv")


def export(records: Sequence[QARecord], folder: str | Path, kind: str = "jsonl") -> Path:
    """Write records and their pictures; a crash or a full disk leaves nothing under the folder's name.

    Args:
        records: whatever source they are from; their ``extras`` are left out.
        folder: new or empty.
        kind: ``jsonl`` or ``csv``.

    Returns:
        The file with the edits.

    Raises:
        RecordError: an unknown kind, a folder that holds something, or the disk is full.
    """
    place = Path(folder).expanduser()
    if kind not in FORMATS:
        raise RecordError(f"format '{kind}': there are {', '.join(FORMATS)}")
    draft = None
    try:
        if place.exists() and any(place.iterdir()):
            raise RecordError(f"{place} holds something already; give a new folder")
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        (draft / "images").mkdir()
        names: dict[str, str] = {}
        edits = [_edit(record, _picture(record.image, draft, names)) for record in records]
        lines = "".join(json.dumps(edit, ensure_ascii=False) + "\n" for edit in edits)
        text = lines if kind == "jsonl" else write_csv(edits)
        (draft / f"edits.{kind}").write_text(text, encoding="utf-8", errors="backslashreplace")
        if place.exists():
            place.rmdir()
        draft.chmod(0o755)  # a temporary folder is its owner's alone
        draft.rename(place)
        draft = None
    except OSError as error:
        raise RecordError(
            f"{place}: cannot be written ({error.strerror or error}); nothing is left of it, free space or give "
            "another folder"
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    return place / f"edits.{kind}"


def _edit(record: QARecord, image: str) -> dict[str, Any]:
    edit: dict[str, Any] = {
        "id": record.id,
        "image": image,
        "question": record.question,
        "choices": list(record.choices),
        "answer": record.answer,
        "reasoning": list(record.reasoning),
    }
    if record.evidence:
        edit["evidence"] = {str(fact): [list(box) for box in boxes] for fact, boxes in record.evidence.items()}
    return edit


def _picture(image: ImageRef, folder: Path, names: dict[str, str]) -> str:
    """The picture's name in the folder, its bytes as they are; equal ones are written once."""
    if image.sha not in names:
        suffix = ".img" if image.path is None else Path(image.path).suffix or ".img"
        name = f"images/{image.sha[:20]}{suffix}"
        if image.data is not None:
            (folder / name).write_bytes(image.data)
        elif image.path is not None:
            shutil.copyfile(image.path, folder / name)
        names[image.sha] = name
    return names[image.sha]
