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
        where = "cache=null" if place is None else place.parent
        raise ConfigError(
            f"model.key_space={MEASURED}: nothing measured for {name} and this encoder in {where}; "
            "run task=topology with the same model and cache first"
        )
    return KeySpace.load(place), place
