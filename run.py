"""Compose the options of ``conf/`` and run: ``python run.py --help`` (the same as ``python -m rv_edit``)."""

from __future__ import annotations

from rv_edit.__main__ import main

if __name__ == "__main__":
    main()
