"""A folder of suites that ``task=build_suites`` made, as a provider for an edit run (``dataset.suites=<folder>``).

``docs/building_suites.md`` describes the files. Suites belong to a data set and to the errors of one or several models;
an edit that nothing was made for gets no questions and is counted, never a wrong one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_modules.qa_record import QARecord
from data_modules.records import Edit, ImageRef, Question, RecordError
from data_modules.suites import ErrorChain, SuiteProvider

SCHEMA = 1
"""Raised whenever the files change their form."""
ABOUT, EDITS, ITEMS = "suites.json", "edits.jsonl", "items.jsonl"
"""What the folder is, what it was built for, the questions."""


class BuiltSuites:
    """The suites of a folder; see :class:`data_modules.suites.SuiteProvider`.

    Args:
        folder: where they lie.
        others: makes the suites that are not built, such as ``contrast``; ``None``: there are none.

    Raises:
        RecordError: no such folder, not finished, damaged, of another version, or with pictures missing.
    """

    def __init__(self, folder: str | Path, others: SuiteProvider | None = None) -> None:
        self.folder = Path(folder).expanduser()
        self._others = others
        about = _about(self.folder)
        if about.get("schema") != SCHEMA:
            raise RecordError(
                f"{self.folder / ABOUT}: version {about.get('schema')!r}, this program reads {SCHEMA}; build them anew"
            )
        self._edits = {str(row.get("id")): row for row in read_lines(self.folder / EDITS)}
        self._questions: dict[tuple[str, str], list[tuple[Question, dict[str, Any]]]] = {}
        for number, row in enumerate(read_lines(self.folder / ITEMS), 1):
            try:
                question = self._question(row)
            except (KeyError, TypeError, ValueError) as error:
                if isinstance(error, RecordError):
                    raise
                raise RecordError(f"{self.folder / ITEMS}, line {number}: not an item of a suite") from error
            self._questions.setdefault((question.suite, str(question.edit_id)), []).append((question, row))

    def t_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The rephrasings, on the edit's own picture."""
        return [
            Question(item.id, edit.image, item.text, item.choices, item.target, "t_gen", edit.id)
            for item in self._of("t_gen", edit)
        ]

    def i_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The edited question on generated pictures."""
        return self._of("i_gen", edit)

    def r_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        """The questions on subsets of the facts."""
        return self._of("r_gen", edit)

    def coe_gen(self, edit: Edit, record: QARecord, error_chain: ErrorChain) -> list[Question]:
        """The edited question on pictures for exactly this chain; none where they were made for another one."""
        self._check(edit)
        return [
            question
            for question, row in self._questions.get(("coe_gen", edit.id), [])
            if row.get("chain") == list(error_chain)
        ]

    def contrast(self, edit: Edit, record: QARecord) -> list[Question]:
        """As the data set itself gives them; they are not built."""
        return [] if self._others is None else self._others.contrast(edit, record)

    def _of(self, suite: str, edit: Edit) -> list[Question]:
        self._check(edit)
        return [question for question, _ in self._questions.get((suite, edit.id), [])]

    def _check(self, edit: Edit) -> None:
        """Refuse suites that were made for another record of this id."""
        row = self._edits.get(edit.id)
        if row is None:
            return
        same = (
            row.get("question") == edit.question
            and row.get("image_sha") == edit.image.sha
            and row.get("choices") == list(edit.choices)
            and row.get("answer") == edit.answer
            and row.get("facts") == list(edit.reasoning)
        )
        if not same:
            raise RecordError(
                f"dataset.suites={self.folder}: made for another version of record {edit.id}; take the data set "
                "that it was built from, or build it anew"
            )

    def _question(self, row: dict[str, Any]) -> Question:
        picture = row["image"]
        if picture is None:
            image = ImageRef(sha="")  # the edit's own, put in when the edit is known
        else:
            path = self.folder / picture["file"]
            try:
                there = path.stat().st_size == picture["bytes"]
            except OSError:
                there = False
            if not there:
                raise RecordError(
                    f"{path}: missing or changed; copy the folder again, or give the command that built it once more"
                )
            image = ImageRef(sha=picture["sha"], path=str(path))
        names = (row["id"], row["question"], row["suite"], row["edit_id"])
        if not all(isinstance(name, str) for name in names) or not isinstance(row["target"], int):
            raise TypeError
        choices = tuple(map(str, row["choices"]))
        return Question(row["id"], image, row["question"], choices, row["target"], row["suite"], row["edit_id"])


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file.

    Raises:
        RecordError: missing, unreadable, or a line that is no object.
    """
    rows: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise RecordError(f"{path}, line {number}: a JSON object is expected")
                rows.append(row)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error})") from error
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}, line {len(rows) + 1}: not valid JSON; copy the folder again") from error
    return rows


def provider_for(folder: str | Path | None, own: Any | None) -> Any | None:
    """The provider of ``dataset.suites``: the folder's suites where one is given, else the data set's own.

    Raises:
        RecordError: the folder cannot be used.
    """
    return own if folder is None else BuiltSuites(folder, own)


def _about(folder: Path) -> dict[str, Any]:
    path = folder / ABOUT
    if not folder.is_dir():
        raise RecordError(f"dataset.suites={folder}: no such folder; python run.py task=build_suites makes one")
    if not path.exists():
        raise RecordError(
            f"dataset.suites={folder}: no {ABOUT} in it, so it is not finished; give the command that builds it again"
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as JSON; copy the folder again") from error
    if not isinstance(about, dict):
        raise RecordError(f"{path}: a JSON object is expected")
    return about
