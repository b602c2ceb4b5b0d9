"""A folder that is written under another name until it is whole; what a killed process left of it is removed later.

Whoever writes a draft holds a lock in it. The system lets go of a dead process's locks, so a draft that can be locked
is nobody's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without such locks: then nothing is swept
    fcntl = None  # type: ignore[assignment]

LOCK = ".drawing"
FRESH = 3600.0
"""Seconds in which a draft without a lock may still be one that is just being begun."""


@contextmanager
def draft_of(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder``, to be written; it takes the place of ``folder`` when the block ends well.

    Args:
        folder: does not exist, or is empty. Folders above it are made.

    Raises:
        OSError: it cannot be written, or another process has meanwhile; the draft is gone then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=folder.parent))
    try:
        with (draft / LOCK).open("w") as lock:
            if fcntl is not None:
                with suppress(OSError):  # a disk without locks: then nobody sweeps either
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield draft
            (draft / LOCK).unlink()
            if folder.exists():
                folder.rmdir()
            draft.rename(folder)
    except BaseException:  # an interrupt too must leave nothing
        shutil.rmtree(draft, ignore_errors=True)
        raise


def sweep(folder: Path) -> list[Path]:
    """Remove the drafts of ``folder`` whose writers are dead; returns those removed."""
    left = [
        draft for draft in sorted(folder.parent.glob(f"{escape(_prefix(folder))}*")) if draft.is_dir() and _dead(draft)
    ]
    for draft in left:
        shutil.rmtree(draft, ignore_errors=True)
    return left


def _prefix(folder: Path) -> str:
    return f".{folder.name}.drawing-"


def _dead(draft: Path) -> bool:
    if fcntl is None:
        return False
    with suppress(FileNotFoundError), (draft / LOCK).open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
    with suppress(OSError):
        return time.time() - os.stat(draft).st_mtime > FRESH
    return False
