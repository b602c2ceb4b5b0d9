"""Where the pocket world keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$RV_EDIT_CACHE``, else ``~/.cache/rv_edit``."""
    return Path(os.environ.get("RV_EDIT_CACHE") or Path.home() / ".cache" / "rv_edit")
