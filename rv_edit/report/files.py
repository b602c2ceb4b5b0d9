"""Writing several files so that a full disk or a crash leaves what was there before as it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

Writer = Callable[[TextIO], None]
"""Writes the whole content of one file to an open text stream."""


class ReportError(ValueError):
    """A report that could not be written. One line: which file, what is wrong, what to do."""


def write_together(files: Mapping[Path, Writer]) -> list[Path]:
    """Write all ``files`` or none of them.

    Each goes to a temporary name beside its place first; only when all are complete and on the disk are they
    renamed, one after the other. Text that UTF-8 cannot hold (lone surrogates) is written as an escape.

    Args:
        files: for each place, what writes its content. Folders are created.

    Returns:
        The places written, in order.

    Raises:
        ReportError: the disk is full, the folder not writable, …; the temporary files are removed again.
    """
    staged: dict[Path, Path] = {}
    place = Path()
    try:
        for place, write in files.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            staged[place] = place.with_name(f".{place.name}.{os.getpid()}.tmp")
            with staged[place].open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
        for place, temporary in staged.items():
            os.replace(temporary, place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReportError(
            f"{place}: cannot be written ({reason}); earlier files are as they were; "
            "free some space or choose another folder with hydra.run.dir="
        ) from error
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)
    return list(files)
