"""What a block of shell would call: bash itself reads it, and every program it would start is written down instead."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

NOTE = r"""
command_not_found_handle() {  # one write a call: background ones write at the same time
  local record; printf -v record '%s\037' "$@"; printf '%s\036' "$record" >> "$NOTES"
}
source() { command_not_found_handle source "$@"; }
"""
VALUE = "placeholder"
"""What stands in for ``<a folder>`` and the like."""
ANY = {"editor=<name>": "editor=reasonedit"}
"""Placeholders whose value must be one of those there are."""


def filled_in(code: str) -> str:
    """``code`` with ``<…>`` and ``…`` given a value: bash would take the former for redirections."""
    for written, value in ANY.items():
        code = code.replace(written, value)
    return re.sub(r"<[a-z][^<>\n]*>", VALUE, code).replace(" …", "").replace("…", VALUE)


def called(code: str, folder: Path) -> list[list[str]]:
    """The commands of a block with their arguments, loops and variables followed, in order but for background ones.

    Args:
        code: the block.
        folder: empty, to run in.

    Raises:
        AssertionError: bash cannot read it.
    """
    notes = folder / "notes"
    notes.touch()
    work = folder / "work"
    (work / "docs").mkdir(parents=True)  # pages are written there
    script = NOTE + filled_in(code) + "\nwait\n"
    done = subprocess.run(
        [str(shutil.which("bash")), "--noprofile", "--norc", "-c", script],
        cwd=work,
        env={"PATH": str(folder / "nothing"), "NOTES": str(notes), "LANG": os.environ.get("LANG", "C.UTF-8")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and not done.stderr, f"bash cannot read it: {done.stderr}\n{code}"
    calls = notes.read_text(encoding="utf-8").split("\036")[:-1]
    return [call.split("\037")[:-1] for call in calls]
