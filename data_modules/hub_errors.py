"""Why the hub gave nothing: its own words, or the disk's, out of the errors that libraries wrap around them.

A token that expired, a licence that was not accepted and a full disk end in the same "connection error" or "an error
occurred" on the first line of what the libraries raise; what helps is different for each.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

NO_SPACE = (
    "no space left for the hub's own cache; free some or set HF_HOME to another disk, the download goes on where it "
    "stopped"
)
_FULL = ("no space left on device", "not enough disk space")
# What ``datasets`` says of the hub's answer, which it does not pass on.
_GATED, _UNKNOWN = "is a gated dataset on the hub", "doesn't exist on the hub or cannot be accessed"


def first_line(error: BaseException) -> str:
    """What an error says, without what follows in further lines; its kind where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0].strip()[:200] if text else type(error).__name__


def hub_reason(error: BaseException, name: str, *, dataset: bool = False) -> str | None:
    """What keeps ``name`` from being fetched, and the way out; ``None``: neither the hub's refusal nor a full disk.

    Args:
        error: as a library raised it; what it was raised from is looked at too.
        name: the hub id that was asked for.
        dataset: it is a data set, no model.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    page = f"https://huggingface.co/{'datasets/' if dataset else ''}{name}"
    gated = f"its terms have to be accepted once on {page}, by the account whose token is used here: hf auth login"
    unknown = f"the hub has no {name}, or shows it to some accounts alone; check the name, or hf auth login"
    for layer in _layers(error):
        text = str(layer).casefold()
        if isinstance(layer, HfHubHTTPError):
            status = layer.response.status_code
            said = layer.response.headers.get("X-Error-Message") or f"status {status}"
            if isinstance(layer, GatedRepoError):
                return gated
            if status == 403 or (status == 401 and get_token()):
                return f"the hub refuses the token used here ({said}); renew it: hf auth login, or HF_TOKEN"
            if status == 401 or isinstance(layer, RepositoryNotFoundError):
                return unknown
        if _GATED in text:
            return gated
        if _UNKNOWN in text:
            return unknown
        if (isinstance(layer, OSError) and layer.errno == errno.ENOSPC) or any(words in text for words in _FULL):
            return NO_SPACE
    return None


def not_loaded(error: BaseException, name: str, path: str) -> str:
    """That a model cannot be loaded and why, with the command that gets it where ``path`` is no folder of one's own."""
    if (reason := hub_reason(error, name)) is not None:
        return f"{name} cannot be loaded: {reason}"
    get = "" if os.path.isdir(path) else f"; get it with: hf download {name}"
    return f"{name} cannot be loaded ({first_line(error)}){get}"


def innermost(error: BaseException) -> BaseException:
    """What an error was raised from in the end, as far as it says so."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _layers(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from or while, outermost first."""
    seen: set[int] = set()
    layer: BaseException | None = error
    while layer is not None and id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        layer = layer.__cause__ or layer.__context__
