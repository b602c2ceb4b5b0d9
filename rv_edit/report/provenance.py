"""What a result came from: versions of what computed it, and the commit of the code."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import rv_edit

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "sentence-transformers",
    "lightning",
    "torchmetrics",
    "hydra-core",
    "numpy",
    "pillow",
)
"""Distributions whose versions can change a figure."""


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of :data:`PACKAGES`; those not installed are left out."""
    found = {"python": platform.python_version(), "rv_edit": rv_edit.__version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_hash() -> str | None:
    """The commit this package was run from, with ``-dirty`` after it where tracked files had changed.

    ``None`` outside of a checkout of this project, and where git is missing: a package installed within somebody
    else's repository must not report that one's commit.
    """
    root = Path(rv_edit.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return None
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *command: str) -> str | None:
    """Output of a git command in ``root``; ``None`` where it fails."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *command], cwd=root, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
