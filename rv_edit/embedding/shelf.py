"""Where measured key spaces are kept, by model and sentence encoder, for ``model.key_space=measured``."""

from __future__ import annotations

from pathlib import Path

from rv_edit.embedding.key_space import KeySpace
from rv_edit.errors import ConfigError

MEASURED = "measured"
"""Said instead of a path: the key space that was last measured for the model and encoder in use."""


def shelf(cache: str | Path, model: str, encoder: str) -> Path:
    """The file for a model and an encoder, by the hashes of their weights."""
    return Path(cache).expanduser() / "key_spaces" / f"{model[:16]}-{encoder[:16]}.json"


def check_measured(cache: str | Path | None) -> None:
    """Refuse ``model.key_space=measured`` where nothing at all was measured; which model it was for needs the model.

    Raises:
        ConfigError: there is no cache, or no key space in it.
    """
    folder = None if cache is None else shelf(cache, "", "").parent
    if folder is None or not any(folder.glob("*.json")):
        raise _nothing("any model", folder)


def measured(cache: str | Path | None, name: str, model: str, encoder: str) -> tuple[KeySpace, Path]:
    """What :func:`shelf` holds.

    Args:
        cache: the folder given by ``cache=``.
        name: of the model, for messages.
        model: its hash.
        encoder: the encoder's hash.

    Returns:
        The key space and where it lies.

    Raises:
        ConfigError: nothing was measured for these two, or it cannot be read.
    """
    place = None if cache is None else shelf(cache, model, encoder)
    if place is None or not place.is_file():
        raise _nothing(f"{name} and this encoder", None if place is None else place.parent)
    return KeySpace.load(place), place


def _nothing(whom: str, folder: Path | None) -> ConfigError:
    where = "cache=null" if folder is None else folder
    return ConfigError(
        f"model.key_space={MEASURED}: nothing measured for {whom} in {where}; "
        "run task=topology with the same model and cache first"
    )
