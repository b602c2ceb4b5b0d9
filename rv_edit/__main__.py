"""``python -m rv_edit`` and ``run.py``: the command line, or one line where what it needs is not installed."""

from __future__ import annotations

import sys


def main() -> None:
    """Run :func:`rv_edit.cli.main`; exit status 2 and one line where this Python lacks what the package needs."""
    try:
        from rv_edit.cli import main as command
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "rv_edit":
            raise
        sys.stderr.write(
            f"error: {error.name} is not installed for {sys.executable}; in a checkout `make run` sets up an "
            "environment, and `source .venv/bin/activate` enters it\n"
        )
        sys.exit(2)
    command()


if __name__ == "__main__":
    main()
