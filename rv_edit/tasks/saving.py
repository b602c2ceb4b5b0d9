"""A codebook and the report of its run are replaced together: a full disk leaves both as they were."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from data_modules.records import EditReceipt
from rv_edit.editors.base import Editor
from rv_edit.errors import ConfigError

RECEIPTS = "receipts.json"
"""Beside a codebook: what each of its edits stored and what it cost."""


@contextmanager
def saved_together(editor: Editor, receipts: Sequence[EditReceipt], folder: Path | None) -> Iterator[Path | None]:
    """Save what the editor holds, and put it in its place once the block (that writes the report) has succeeded.

    Args:
        editor: what to save.
        receipts: written beside it.
        folder: the place; ``None``: nothing is saved.

    Yields:
        The place, ``None`` where the editor has nothing to save.

    Raises:
        ConfigError: the folder cannot be written or the disk is full; what was there before is as it was.
    """
    if folder is None:
        yield None
        return
    staged = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    try:
        if editor.save(staged) is None:
            yield None
            return
        rows = [asdict(receipt) for receipt in receipts]
        (staged / RECEIPTS).write_text(json.dumps(rows, ensure_ascii=True, indent=1))
        yield folder
        folder.mkdir(parents=True, exist_ok=True)
        # As storage.py does: all under other names first, then the tensors before the lines that belong to them.
        names = sorted((path.name for path in staged.iterdir()), reverse=True)
        for name in names:
            os.replace(staged / name, folder / f"{name}.new")
        for name in names:
            os.replace(folder / f"{name}.new", folder / name)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def saved_receipts(folder: Path | None) -> list[EditReceipt]:
    """The receipts of the edits gone on with; a codebook from elsewhere may come without.

    Raises:
        ConfigError: the file is damaged.
    """
    if folder is None or not (folder / RECEIPTS).is_file():
        return []
    try:
        rows = json.loads((folder / RECEIPTS).read_text())
        for row in rows:
            row["evidence"] = {int(fact): tuple(map(tuple, boxes)) for fact, boxes in row["evidence"].items()}
            row["notes"] = tuple(row["notes"])
        return [EditReceipt(**row) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{folder / RECEIPTS}: damaged ({error}); delete it to go on without") from error
