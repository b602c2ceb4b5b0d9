"""The error a user sees as one line: something asked for cannot be done, and what to do instead."""

from __future__ import annotations


class ConfigError(ValueError):
    """An option, a path or a checkpoint that cannot be used. The message is one line: what, where, what to do.

    It stops a run before any work; bad records of a data set are another matter
    (:class:`data_modules.records.RecordError`: skipped, counted, listed).
    """


def is_bad_input(error: BaseException) -> bool:
    """Whether one of our packages defines this kind of error: its message is one line for the user."""
    return isinstance(error, ValueError) and type(error).__module__.split(".")[0] in ("rv_edit", "data_modules")


def bad_input_in(error: BaseException) -> BaseException | None:
    """The error itself, or what it was raised from, where that is one for the user: Hydra wraps what it calls."""
    return next((one for one in (error, error.__cause__) if one is not None and is_bad_input(one)), None)
