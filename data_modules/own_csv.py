"""Edits as a table for spreadsheets: a row an edit, ``choice_1``, ``choice_2``, … and ``reason_1``, ``reason_2``, ….

A column an item needs no sign that separates items, hence no escape for it. ``evidence`` holds JSON.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_modules.records import RecordError

FIXED = ("id", "image", "question", "answer")
_ITEM = re.compile(r"(choice|reason)_([1-9]\d*)")
_FIELDS = {"choice": "choices", "reason": "reasoning"}


def read_csv(path: Path) -> Iterator[tuple[str, Any]]:
    """Ids and rows, these as the lines of ``edits.jsonl``; empty cells are left out, empty rows skipped.

    A row that cannot be taken as one comes as the :class:`RecordError` that says why.

    Commas, semicolons and tabs are told by the first line, UTF-8 with or without a mark.

    Raises:
        RecordError: unreadable, not UTF-8, or a column is missing or double.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise RecordError(f"{path}: not UTF-8; save it as 'CSV UTF-8'") from error
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        _check(path, names)
        for row in rows:
            cells = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name and cell.strip()}
            if cells:
                beyond = any(cell.strip() for cell in row[len(names) :])
                raw = RecordError("more cells than there are columns") if beyond else _edit(cells)
                yield cells.get("id") or f"line {rows.line_num}", raw
    except csv.Error as error:
        raise RecordError(f"{path}: line {rows.line_num} is not CSV ({error}); save it as 'CSV UTF-8'") from error


def write_csv(edits: Sequence[Mapping[str, Any]]) -> str:
    """Lines of ``edits.jsonl`` as a table; further fields are left out."""
    most = {kind: max((len(edit.get(field, ())) for edit in edits), default=0) for kind, field in _FIELDS.items()}
    items = [f"{kind}_{place}" for kind in _FIELDS for place in range(1, most[kind] + 1)]
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [*FIXED, *items, "evidence"], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for edit in edits:
        cells = {name: edit[name] for name in FIXED}
        for kind, field in _FIELDS.items():
            cells |= {f"{kind}_{place}": item for place, item in enumerate(edit.get(field, ()), 1)}
        writer.writerow(cells | ({"evidence": json.dumps(edit["evidence"])} if edit.get("evidence") else {}))
    return stream.getvalue()


def _check(path: Path, names: list[str]) -> None:
    wanted = [*FIXED, "choice_1", "choice_2"]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise RecordError(f"{path}: no column {', '.join(missing)}; there must be {', '.join(wanted)}, and reason_1, …")
    double = next((name for name in names if name and names.count(name) > 1), None)
    if double is not None:
        raise RecordError(f"{path}: column {double} is there twice")


def _edit(cells: dict[str, str]) -> dict[str, Any] | RecordError:
    edit: dict[str, Any] = {}
    items: dict[str, list[tuple[int, str]]] = {"choices": [], "reasoning": []}
    for name, cell in cells.items():
        if (match := _ITEM.fullmatch(name)) is not None:
            items[_FIELDS[match[1]]].append((int(match[2]), cell))
        else:
            edit[name] = cell
    edit |= {field: [cell for _, cell in sorted(found)] for field, found in items.items()}
    if "evidence" in edit:
        try:
            edit["evidence"] = json.loads(edit["evidence"])
        except (ValueError, RecursionError):
            return RecordError("its evidence is not valid JSON")
    return edit
