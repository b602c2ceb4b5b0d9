"""Work that several processes share through one cache: every part is made by one of them, once, whoever comes first.

Nobody hands out the parts. A process that wants to make one holds a lock beside the part's cache file while it does;
the others meanwhile make other parts and read this one when it is there. The system itself lets go of a dead process's
locks, so that what it had begun is made by another at once, and nothing has to be guessed about who is still alive.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

try:
    import fcntl
except ImportError:  # a system without such locks: each process makes everything, which is slower but not wrong
    fcntl = None  # type: ignore[assignment]

Key = TypeVar("Key")
Made = TypeVar("Made")


def share(
    keys: Sequence[Key],
    *,
    find: Callable[[Key], Made | None],
    make: Callable[[Key], Made],
    place: Callable[[Key], Path | None],
) -> Iterator[tuple[Key, Made]]:
    """Each key once, with what was made for it here or elsewhere; in the order of ``keys`` where nobody else works.

    Args:
        keys: the parts, most urgent first; all processes give the same.
        find: what is kept for a part, ``None`` where nothing is.
        make: makes a part and keeps it.
        place: the file that keeps it, ``None`` where none does.
    """
    waiting = list(keys)
    while waiting:
        for key in waiting:
            made = _found_or_made(key, find, make, place, wait=False)
            if made is not None:
                break
        else:  # all that is left is being made elsewhere
            key = waiting[0]
            made = _found_or_made(key, find, make, place, wait=True)
            assert made is not None
        waiting.remove(key)
        yield key, made


def _found_or_made(
    key: Key,
    find: Callable[[Key], Made | None],
    make: Callable[[Key], Made],
    place: Callable[[Key], Path | None],
    wait: bool,
) -> Made | None:
    """``None``: another process is at it, and we do not wait."""
    path = place(key)
    before = _stamp(path)
    made = find(key)
    if made is not None:
        return made
    with _held(path, wait) as ours:
        if not ours:
            return None
        if _stamp(path) != before and (made := find(key)) is not None:
            return made  # finished between our look and our lock
        return make(key)


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """Tells one file of a name from the next."""
    try:
        found = None if path is None else os.stat(path)
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_mtime_ns)


@contextmanager
def _held(path: Path | None, wait: bool) -> Iterator[bool]:
    """Hold the lock beside ``path`` for the block; ``False``: another process has it.

    Where no lock can be had (no such folder, a read-only or full disk, a system without them) it is as if held.
    """
    if path is None or fcntl is None:
        yield True
        return
    lock = path.with_name(f".{path.name}.lock")
    handle = _locked(lock, wait)
    try:
        yield handle is None or handle >= 0
    finally:
        if handle is not None and handle >= 0:
            with contextlib.suppress(OSError):
                lock.unlink()  # while it is held: who opened it before finds it gone, and opens another
            os.close(handle)


def _locked(lock: Path, wait: bool) -> int | None:
    """An open, locked file; -1: another process has it; ``None``: there can be none."""
    flags = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(handle, flags)
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                return handle
        except BlockingIOError:
            os.close(handle)
            return -1
        except FileNotFoundError:
            pass
        except OSError:
            os.close(handle)
            return None
        except BaseException:  # interrupted while waiting
            os.close(handle)
            raise
        os.close(handle)  # of a file that is gone meanwhile
