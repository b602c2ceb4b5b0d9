"""What the readers of all data sets share: finding and parsing files, pictures by name, skipping bad records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from data_modules.qa_record import QARecord, ReadReport
from data_modules.records import ImageRef, RecordError
from data_modules.text import clean_text

SUFFIXES = (".jpg", ".png", ".jpeg", ".JPEG", ".JPG", ".PNG")
"""Endings tried, in this order, where a data set names a picture without one."""


def load_json(path: Path, repeated: list[tuple[str, Any]] | None = None) -> Any:
    """Parse a JSON file. Of equal keys in one object the first counts; the others go into ``repeated``.

    Raises:
        RecordError: missing, unreadable or not JSON, in one line.
    """

    def first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in pairs:
            if key not in table:
                table[key] = value
            elif repeated is not None:
                repeated.append((key, value))
        return table

    try:
        return json.loads(path.read_bytes(), object_pairs_hook=first_wins)
    except FileNotFoundError as error:
        raise RecordError(f"{path}: no such file; point dataset.root at the folder that holds it") from error
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not valid JSON ({str(error)[:80]}); fetch the file again") from error


def first_existing(candidates: Sequence[Path], what: str) -> Path:
    """The first of ``candidates`` that exists.

    Raises:
        RecordError: none does; the line names all that were tried.
    """
    for path in candidates:
        if path.exists():
            return path
    tried = ", ".join(str(path) for path in candidates)
    raise RecordError(f"{what} not found (looked for {tried}); point dataset.root at the data set's folder")


class ImageFolder:
    """Pictures by file name, each hashed once however many records ask for it.

    Args:
        folder: where the pictures lie.
        check: also decode each picture once, so that a damaged one is found now and not when it is used.
    """

    def __init__(self, folder: Path, check: bool = False) -> None:
        self.folder = folder
        self.check = check
        self._known: dict[str, ImageRef | RecordError] = {}

    def find(self, name: str, suffixes: Sequence[str] = ("",)) -> ImageRef:
        """The picture ``name``, with the first of ``suffixes`` that exists.

        Raises:
            RecordError: a name that leaves the folder, no such file, or (with ``check``) not decodable.
        """
        if name not in self._known:
            try:
                self._known[name] = self._load(name, suffixes)
            except RecordError as error:
                self._known[name] = error
        found = self._known[name]
        if isinstance(found, RecordError):
            raise found
        return found

    def _load(self, name: str, suffixes: Sequence[str]) -> ImageRef:
        if not name or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise RecordError(f"picture name {name[:60]!r} does not lie in {self.folder}")
        for suffix in suffixes:
            path = self.folder / (name + suffix)
            try:
                there = path.is_file()
            except OSError as error:  # a name that no file can have, a folder that may not be entered
                reason = error.strerror or str(error)
                raise RecordError(f"picture {str(path)[:200]} cannot be read ({reason})") from error
            if there:
                ref = ImageRef.from_path(path)
                if self.check:
                    ref.open()
                return ref
        raise RecordError(f"picture {self.folder / name} is missing")


def collect(
    source: str,
    items: Iterable[tuple[str, Any]],
    parse: Callable[[str, dict[str, Any]], QARecord],
    report: ReadReport,
) -> list[QARecord]:
    """Parse ``(id, raw record)`` items; bad ones and repeated ids are skipped and listed in ``report``.

    Raises:
        RecordError: not a single record is left.
    """
    report.source = report.source or source
    records: list[QARecord] = []
    seen: set[str] = set()
    already = len(report.skipped)
    for record_id, raw in items:
        try:
            if not record_id:
                raise RecordError("no question id")
            if any("\ud800" <= char <= "\udfff" for char in record_id):
                raise RecordError("its id is broken Unicode, which no file can hold; give it another one")
            if record_id in seen:
                raise RecordError("duplicate id; the first record with it is kept")
            if not isinstance(raw, dict):
                raise RecordError(f"not a JSON object but {type(raw).__name__}")
            records.append(parse(record_id, raw))
            seen.add(record_id)
        except RecordError as error:
            report.skipped.append((record_id or "(no id)", str(error)))
    report.kept += len(records)
    if not records:
        skipped = report.skipped[already:]
        reason = f"; the first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise RecordError(f"{source}: none of {len(skipped)} records can be used{reason}")
    return records


def text_of(raw: dict[str, Any], key: str) -> str:
    """The non-empty text of ``raw[key]``.

    Raises:
        RecordError: missing, empty or not text.
    """
    value = raw.get(key)
    if not isinstance(value, str) or not clean_text(value):
        raise RecordError(f"field '{key}' is {'missing' if key not in raw else 'empty or not text'}")
    return value


def texts_of(raw: dict[str, Any], key: str) -> list[str]:
    """The texts of ``raw[key]``, a list or a single text; none where the field is missing or null.

    Raises:
        RecordError: neither text nor a list of texts.
    """
    value = raw.get(key)
    if value is None:
        return []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise RecordError(f"field '{key}' is not a list of texts")
    return values
