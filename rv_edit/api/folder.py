"""Edits in a folder of their own, without the model they belong to: a few kilobytes an edit.

``codebook.safetensors``, ``codebook.jsonl`` and ``key_space.json`` are what every run saves; beside them lie
``rv_edit.json`` (which model, revision and options), ``edits.json`` (who made what, and when) and ``README.md``. No
file is a pickle; none of them can name code to be run.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import rv_edit
from rv_edit.api.loading import Base
from rv_edit.api.records import About
from rv_edit.api.state import State
from rv_edit.composing import option_names
from rv_edit.errors import ConfigError

CONFIG, EDITS, CARD = "rv_edit.json", "edits.json", "README.md"
FILES = (CONFIG, EDITS, CARD, "key_space.json", "codebook.jsonl", "codebook.safetensors")
"""All files of a folder; nothing else is looked at."""
SCHEMA = 1


@dataclass(frozen=True)
class Measured:
    """Metrics of a codebook, and the checksum of the codebook they were measured with.

    Attributes:
        values: suite -> ``before`` and ``after``, shares of right answers.
        checksum: of the codebook; after another edit the metrics no longer hold.
    """

    values: Mapping[str, Mapping[str, float]]
    checksum: str


@dataclass(frozen=True)
class FolderConfig:
    """``rv_edit.json``: what edits were made to.

    Attributes:
        base: model, revision, encoder, options.
        fingerprint: of the key space; ``base_model`` in it is a hash of the model's weights.
        licence: of the edits, an SPDX id; empty where not stated.
        measured: metrics where known.
    """

    base: Base
    fingerprint: Mapping[str, Any]
    licence: str = ""
    measured: Measured | None = None


@dataclass(frozen=True)
class SavedEdits:
    """What a folder says beside its codebook."""

    config: FolderConfig
    about: Mapping[str, About] = field(default_factory=dict)


def is_saved(folder: Path) -> bool:
    """Whether ``folder`` was written by :func:`save_edits`."""
    return (folder / CONFIG).is_file()


def save_edits(folder: Path, state: State, config: FolderConfig, card: str) -> Path:
    """Write the edits of ``state`` to ``folder``; each file is replaced whole, the codebook last.

    Raises:
        ConfigError: the folder cannot be written.
    """
    book = state.editor.codebook
    about = {
        "schema": SCHEMA,
        "rv_edit": rv_edit.__version__,
        "base": config.base.as_json(),
        "fingerprint": dict(config.fingerprint),
        "licence": config.licence,
        "metrics": None if config.measured is None else asdict(config.measured),
        "edits": len(book.edit_ids),
        "keys": len(book),
    }
    made = {edit_id: asdict(state.about_of(edit_id)) for edit_id in book.edit_ids}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / CONFIG, json.dumps(about, indent=1, ensure_ascii=True) + "\n")
        write_whole(folder / EDITS, json.dumps(made, indent=1, ensure_ascii=True) + "\n")
        write_whole(folder / CARD, card)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    state.editor.save(folder)
    return folder


def read_saved(folder: Path) -> SavedEdits:
    """Read and check ``rv_edit.json`` and ``edits.json``.

    Raises:
        ConfigError: damaged, of another schema, or naming what may not be named.
    """
    stored = _read_object(folder / CONFIG)
    if stored.get("schema") != SCHEMA:
        raise ConfigError(f"{folder / CONFIG}: schema {stored.get('schema')!r}, expected {SCHEMA}; save the edits anew")
    try:
        base = Base(**stored["base"])
        metrics = stored.get("metrics")
        measured = None if metrics is None else Measured(metrics["values"], str(metrics["checksum"]))
        config = FolderConfig(base, dict(stored["fingerprint"]), str(stored.get("licence") or ""), measured)
        texts = (base.option, base.name, base.text_encoder, base.revision or "")
        if not all(isinstance(text, str) for text in texts) or not isinstance(base.editor, dict):
            raise TypeError("a name is no text")
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder / CONFIG}: damaged ({error}); restore it from a copy") from error
    if base.option not in option_names("model"):
        raise ConfigError(
            f"{folder}: its edits were made with model={base.option}, which is no option here; "
            "give model=<option, folder or hub id of that model>"
        )
    return SavedEdits(config, read_about(folder))


def read_about(folder: Path) -> dict[str, About]:
    """Who made which edit, and when; empty where nobody wrote it down.

    Raises:
        ConfigError: the file is damaged.
    """
    if not (folder / EDITS).is_file():
        return {}
    try:
        return {str(edit_id): About(**value) for edit_id, value in _read_object(folder / EDITS).items()}
    except TypeError as error:
        raise ConfigError(f"{folder / EDITS}: damaged ({error}); delete it to go on without") from error


def read_results(path: Path) -> Measured:
    """Metrics of a run, from its ``results.json``.

    Raises:
        ConfigError: unreadable, or not the results of an edit run.
    """
    stored = _read_object(path)
    try:
        values = {
            str(suite): {when: float(stored[when][suite]["mean"]) for when in ("before", "after")}
            for suite in stored["after"]
            if stored["after"][suite].get("mean") is not None
            and (stored["before"].get(suite) or {}).get("mean") is not None
        }
        return Measured(values, str(stored["codebook"]["checksum"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}: not the results of an edit run ({error})") from error


def given_metrics(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Metrics as the card shows them: suite -> ``before`` and ``after``.

    Raises:
        ConfigError: they are something else.
    """
    try:
        return {
            str(suite): {when: float(values[when]) for when in ("before", "after")} for suite, values in metrics.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ConfigError(
            "metrics: give for each suite {'before': share, 'after': share}, or the path of a run's results.json"
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, on the disk before it takes its name.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_object(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON ({error}); restore it from a copy") from error
    if not isinstance(stored, dict):
        raise ConfigError(f"{path}: holds {type(stored).__name__}, not an object; restore it from a copy")
    return stored
