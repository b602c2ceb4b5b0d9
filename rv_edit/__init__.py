"""rv_edit: correct a vision-language model in words, and see the correction generalise.

``from rv_edit import EditedVLM`` loads it when it is first asked for: importing the package alone costs nothing, and
what lies in it stays below :mod:`rv_edit.api`. ``__init__.pyi`` tells type checkers what they get.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY = {"EditedVLM": "rv_edit.api"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
