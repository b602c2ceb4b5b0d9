"""``python -m rv_edit``: what ``run.py`` does, from an installed package."""

from __future__ import annotations

from rv_edit.cli import main

if __name__ == "__main__":
    main()
