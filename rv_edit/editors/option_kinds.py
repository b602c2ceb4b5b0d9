"""Options against what takes them: unknown names and values of the wrong kind, before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rv_edit.errors import ConfigError


def check_kinds(where: str, options: Mapping[str, Any], taker: Callable[..., Any]) -> None:
    """Check that ``taker`` has every option, and gets numbers, texts and switches where its defaults are such.

    Whether a value is in range is for ``taker`` to say; an option without such a default is left to it as well.

    Args:
        where: what the options hang under, e.g. ``editor.evidence``.
        options: by name.
        taker: a class or function with the options as keyword parameters.

    Raises:
        ConfigError: the first that does not fit.
    """
    parameters = inspect.signature(taker).parameters
    for name, value in options.items():
        if name not in parameters:
            known = ", ".join(other for other in parameters if other != "self")
            raise ConfigError(f"{where}.{name}: unknown option; there are {known}")
        kind = _kind(parameters[name].default)
        if kind and kind != _kind(value) and not (kind == "a number" and _kind(value) == "a whole number"):
            raise ConfigError(f"{where}.{name}={value!r}: give {kind}")


def _kind(value: Any) -> str:
    """What a value is; nothing for those that an annotation would be needed for."""
    kinds: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return kinds.get(type(value), "")
