"""What the readers of all data sets share: finding and parsing files, pictures by name, skipping bad records."""

from __future__ import annotations

import json
import os
import unicodedata
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
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise RecordError(f"{path}: no such file; point dataset.root at the folder that holds it") from error
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return json.loads(data, object_pairs_hook=first_wins)
    except (ValueError, RecursionError) as error:
        what = instead_of_data(data) or f"not valid JSON ({str(error)[:80]})"
        raise RecordError(f"{path}: {what}; fetch the file again") from error


def instead_of_data(data: bytes) -> str | None:
    """What a failed download left in place of a data file, where that can be told by its first bytes."""
    start = data[:256].lstrip().lower()
    if not start:
        return "an empty file"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file it points to"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not the file"
    return None


def first_existing(candidates: Sequence[Path], what: str, command: str | None = None) -> Path:
    """The first of ``candidates`` that exists.

    Raises:
        RecordError: none does; the line names all that were tried, and the ``command`` that gets it.
    """
    for path in candidates:
        if path.exists():
            return path
    tried = ", ".join(str(path) for path in candidates)
    get = "" if command is None else f", or get it: {command}"
    raise RecordError(f"{what} not found (looked for {tried}); point dataset.root at the data set's folder{get}")


class ImageFolder:
    """Pictures by file name, each hashed once however many records ask for it.

    A name that is not there as it is written is looked for in another case, and with its accents written the other way:
    copies of a data set differ in ``.JPEG`` and ``.jpeg``, systems in how they spell ``é``.

    Args:
        folder: where the pictures lie.
        check: also decode each picture once, so that a damaged one is found now and not when it is used.

    Attributes:
        missing: names asked for that have no file.
    """

    def __init__(self, folder: Path, check: bool = False) -> None:
        self.folder = folder
        self.check = check
        self.missing: set[str] = set()
        self._known: dict[str, ImageRef | RecordError] = {}
        self._spellings: dict[Path, dict[str, Path]] = {}

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
                return self._read(path)
        spelt = next((found for suffix in suffixes if (found := self._other_case(name + suffix))), None)
        if spelt is not None:
            return self._read(spelt)
        self.missing.add(name)
        raise RecordError(f"picture {self.folder / name} is missing")

    def _read(self, path: Path) -> ImageRef:
        ref = ImageRef.from_path(path)
        if self.check:
            ref.open()
        return ref

    def _other_case(self, name: str) -> Path | None:
        """A file with the name in another spelling; never a folder, a pipe or a device, which is no file to read."""
        path = self.folder / name
        if path.parent not in self._spellings:
            try:
                found = sorted(os.listdir(path.parent))
            except (OSError, ValueError):
                found = []
            self._spellings[path.parent] = {_plain(other): path.parent / other for other in found}
        spelt = self._spellings[path.parent].get(_plain(path.name))
        return spelt if spelt is not None and spelt.is_file() else None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def collect(
    source: str,
    items: Iterable[tuple[str, Any]],
    parse: Callable[[str, dict[str, Any]], QARecord],
    report: ReadReport,
) -> list[QARecord]:
    """Parse ``(id, raw record)`` items; bad ones and repeated ids are skipped and listed in ``report``.

    A record that could not even be taken from its file comes as the :class:`RecordError` that says why.

    Raises:
        RecordError: not a single record is left.
    """
    report.source = report.source or source
    records: list[QARecord] = []
    seen: set[str] = set()
    already = len(report.skipped)
    for record_id, raw in items:
        report.listed += 1
        try:
            if not record_id:
                raise RecordError("no question id")
            if any("\ud800" <= char <= "\udfff" for char in record_id):
                raise RecordError("its id is broken Unicode, which no file can hold; give it another one")
            if isinstance(raw, RecordError):
                raise raw
            if record_id in seen:
                raise RecordError("duplicate id; the first record with it is kept")
            if not isinstance(raw, dict):
                raise RecordError(f"not a JSON object but {type(raw).__name__}")
            records.append(parse(record_id, raw))
            seen.add(record_id)
        except RecordError as error:
            # Reasons quote what they are about, which may hold line breaks and marks that turn the line around.
            report.skipped.append((record_id or "(no id)", clean_text(str(error))))
    report.kept += len(records)
    if not records:
        skipped = report.skipped[already:]
        if not skipped:
            raise RecordError(f"{source}: there is no record in it; give the whole data set, or another part of it")
        reason = f"{clean_text(skipped[0][0])}: {skipped[0][1]}"
        raise RecordError(f"{source}: none of {len(skipped)} records can be used; the first: {reason}")
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
