"""A checkpoint's files, checked before anything is loaded: which is missing or broken, and the command that gets it.

The library says of an incomplete download whatever its last step happens to say, some of it after minutes of loading.
Everything here reads names, sizes and headers alone, so that it costs nothing with weights of any size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_modules.hub_errors import first_line, hub_reason
from rv_edit.errors import ConfigError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""What weights are called, in the order in which they are looked for."""
LONGEST_HEADER = 100_000_000
"""Bytes; a safetensors header that claims more is no header."""

_POINTER = b"version https://git-lfs"  # what `git clone` without git-lfs leaves in place of a large file


@dataclass(frozen=True)
class Origin:
    """Which checkpoint is loaded, and how to get it again.

    Attributes:
        name: As the user named it.
        path: Its folder, or its hub id.
        hub: The hub id it can be had from, where that is known.
        revision: Branch, tag or commit.
    """

    name: str
    path: str
    hub: str | None = None
    revision: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder, unless it is a hub id."""
        return Path(self.path) if os.path.isdir(self.path) else None

    @property
    def fetch(self) -> str:
        """The command that gets the whole of it, or what is missing of it."""
        words = ["hf", "download", (self.hub or "<hub id>") if self.folder else self.path]
        words += ["--revision", self.revision] if self.revision else []
        return " ".join([*words, "--local-dir", self.path] if self.folder else words)

    def error(self, what: str, cause: BaseException | None = None) -> ConfigError:
        """``what`` is wrong, why as far as ``cause`` tells, and the command that mends it.

        What the hub refuses, or a disk without room, is mended otherwise and said instead.
        """
        if cause is None:
            return ConfigError(f"{self.name}: {what}; get it with: {self.fetch}")
        if self.folder is None and (reason := hub_reason(cause, self.path)) is not None:
            return ConfigError(f"{self.name}: {what}: {reason}")
        return self.error(f"{what} ({first_line(cause)})")


def find(origin: Origin) -> Path | None:
    """The folder of a checkpoint, its own or that of the hub's cache; ``None`` where the hub may be asked.

    What is missing of a hub id that may be asked for is fetched while it is loaded.

    Raises:
        ConfigError: no readable ``config.json`` there.
    """
    folder = origin.folder or cached(origin)
    if folder is not None:
        config = folder / "config.json"
        if not config.is_file():
            raise origin.error(f"no config.json in {folder}; it is no checkpoint")
        _refuse_pointer(config, origin)
        _json(config, origin)
    return folder


def check_weights(folder: Path, origin: Origin) -> None:
    """Check that everything that was downloaded was downloaded whole.

    Raises:
        ConfigError: the first file that is missing, cut off, or not what its name says.
    """
    for path in sorted(folder.iterdir()):
        if path.is_file():
            _refuse_pointer(path, origin)
    for path in _weight_files(folder, origin):
        if path.suffix == ".safetensors":
            check_safetensors(path, origin)


def cached(origin: Origin) -> Path | None:
    """The cache's folder of a hub id; ``None`` where the hub may be asked.

    Raises:
        ConfigError: the hub may not be asked, and the cache does not have it.
    """
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        return None
    found = _in_cache(origin)
    if found is None:
        raise origin.error(
            f"no config.json of it in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE forbids to ask the hub"
        )
    return found


def commit(origin: Origin) -> str | None:
    """The commit of a hub id that the cache holds, once it was loaded; ``None`` for a folder."""
    found = None if origin.folder else _in_cache(origin)
    return None if found is None else found.name


def _in_cache(origin: Origin) -> Path | None:
    """``…/snapshots/<commit>`` of a hub id."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(origin.path, "config.json", revision=origin.revision)
    return Path(found).parent if isinstance(found, str) else None


def check_safetensors(path: Path, origin: Origin) -> None:
    """Check that a file is as long as its own header says.

    Raises:
        ConfigError: it is not, or has no such header.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= LONGEST_HEADER:
            raise origin.error(f"{path} is not a safetensors file")
        text = stream.read(length)
    try:
        header = json.loads(text)
        end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        what = "cut off" if len(text) < length else "not a safetensors file"
        raise origin.error(f"{path} is {what} ({size:,} bytes)") from None
    if size < 8 + length + end:
        raise origin.error(f"{path} is cut off ({size:,} of {8 + length + end:,} bytes)")


def _weight_files(folder: Path, origin: Origin) -> Iterator[Path]:
    """The files that hold the weights, as the library will choose them."""
    chosen = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if chosen is None:
        raise origin.error(f"no weights in {folder} (none of {', '.join(WEIGHTS)})")
    if chosen.suffix != ".json":
        yield chosen
        return
    index = _json(chosen, origin)
    shards = index.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise origin.error(f"{chosen} names no file of weights")
    for name in sorted(set(map(str, shards.values()))):
        if not (folder / name).is_file():
            raise origin.error(f"{folder / name} is missing, which {chosen.name} names")
        yield folder / name


def _json(path: Path, origin: Origin) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise origin.error(f"{path} is not readable as JSON", error) from error
    if not isinstance(found, dict):
        raise origin.error(f"{path} does not hold an object")
    return found


def _refuse_pointer(path: Path, origin: Origin) -> None:
    with path.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise origin.error(f"{path} is a pointer of git-lfs, not the file itself")
