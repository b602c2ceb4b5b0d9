"""A copy of the project in which the files of a page are put in their places, and Python run on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.source_tree import ROOT


def followed(folder: Path, page: str, wanted: set[str], folders: Iterable[str], files: Iterable[str]) -> Path:
    """Fill ``folder`` with parts of the project, without what is large, and with the files that a page writes.

    Args:
        folder: empty.
        page: below ``docs``.
        wanted: the files that the page must write, none of which may be there.
        folders: of the project.
        files: of the project.
    """
    large = shutil.ignore_patterns("weights", "__pycache__")
    for name in folders:
        shutil.copytree(ROOT / name, folder / name, ignore=large)
    for name in files:
        shutil.copy(ROOT / name, folder / name)
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    written = dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    assert set(written) == wanted
    for name, content in written.items():
        assert not (folder / name).exists()
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def python(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the copy."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=1800,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )
