"""The tiny command line of ``tests/run``, for runs that are killed."""

from __future__ import annotations

from tests.run.conftest import command, overrides

__all__ = ["command", "overrides"]
