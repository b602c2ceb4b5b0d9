"""Cells of a comparison: edit runs in folders of their own, named by all that their figures depend on.

A cell whose options, or the files of whose model, are others is another cell with another folder, so that nothing that
is kept is ever stale; what stays on this machine or says how a run is watched (``trainer``, ``logger``, ``callbacks``,
``cache``) does not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rv_edit.composing import compose_parts

SCHEMA = 1
"""Raised whenever the same options give other figures."""
PARTS = ("editor", "model", "dataset", "scoring", "error_chain", "protocol", "seed")
"""The options that figures depend on."""
NO_MATTER = {("editor", "cache"), ("model", "paper"), ("dataset", "paper")}
"""Among them those that name a place of this machine, or say beside what the figures are shown."""
WHOLE = 256 * 1024 * 1024
"""Bytes up to which a file is read whole to tell it from another; of a larger one, its ends."""


@dataclass(frozen=True)
class Cell:
    """One editor on one model and one data set.

    Attributes:
        editor, model, dataset: options of these groups.
        edits: errors to correct.
        options: further options of the run, as on the command line.
        key: hash of what its figures depend on.
    """

    editor: str
    model: str
    dataset: str
    edits: int
    options: tuple[str, ...]
    key: str

    @classmethod
    def of(cls, editor: str, model: str, dataset: str, edits: int, options: Sequence[str]) -> Cell:
        """A cell with its key.

        Raises:
            ConfigError: the options do not fit together.
        """
        chosen = _chosen(editor, model, dataset, edits)
        parts = compose_parts([*chosen, *options], PARTS)
        return cls(editor, model, dataset, edits, tuple(options), _key(parts))

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.editor} · {self.model} · {self.dataset}"

    @property
    def overrides(self) -> list[str]:
        """The command line of the run, but for its folder."""
        return ["task=edit", *_chosen(self.editor, self.model, self.dataset, self.edits), *self.options]

    def folder(self, root: Path) -> Path:
        """Where it runs."""
        return root / self.model / self.dataset / self.editor / self.key

    def results(self, root: Path) -> dict[str, Any] | None:
        """What came out, once it is there and whole."""
        try:
            found: dict[str, Any] = json.loads((self.folder(root) / "results.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found


def _chosen(editor: str, model: str, dataset: str, edits: int) -> list[str]:
    return [f"editor={editor}", f"model={model}", f"dataset={dataset}", f"dataset.edits={edits}"]


def _key(parts: Mapping[str, Any]) -> str:
    kept = {
        part: {name: item for name, item in value.items() if (part, name) not in NO_MATTER}
        if isinstance(value, dict)
        else value
        for part, value in parts.items()
    }
    files = {name: stamp for name in sorted(set(_texts(kept["model"]))) if (stamp := stamp_of(name)) is not None}
    text = json.dumps([SCHEMA, kept, files], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@cache
def stamp_of(name: str) -> str | None:
    """Tells the files at a place (folder, file or ``package://`` address) from others; ``None``: no such place.

    What a hub holds is told by the option's ``revision`` alone.
    """
    from rv_edit.errors import ConfigError
    from rv_edit.vlm.loading import resolve_checkpoint

    if "/" not in name:
        return None
    try:
        place = Path(resolve_checkpoint(name))
    except ConfigError:
        return None
    if not place.exists():
        return None
    digest = hashlib.sha256()
    paths = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    for path in paths:
        digest.update(f"{path.relative_to(place)} {path.stat().st_size} ".encode())
        digest.update(_content(path))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        if path.stat().st_size <= WHOLE:
            return hashlib.sha256(file.read()).digest()
        head = file.read(WHOLE // 16)
        file.seek(-WHOLE // 16, 2)
        return hashlib.sha256(head + file.read()).digest()
