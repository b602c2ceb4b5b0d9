"""A codebook on disk: ``codebook.safetensors`` (numbers) beside ``codebook.jsonl`` (sentences), no pickle.

Each file names the other's content: the JSON lines carry a hash of the tensors, the safetensors' metadata a hash of
the JSON lines. Both are written under other names and renamed, the safetensors first. Should the process end
between the two renames, the new JSON lines still lie beside them as ``codebook.jsonl.new`` and are found.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors
from torch import Tensor

from rv_edit.codebook import codec
from rv_edit.codebook.entries import plain_json
from rv_edit.codebook.settings import split_settings
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.codebook.codebook import Codebook

TENSORS, RECORDS = "codebook.safetensors", "codebook.jsonl"
ABOUT = "codebook"


def save(book: Codebook, folder: Path) -> Path:
    """Write both files into ``folder``, made where it does not exist; what was there stays whole until replaced.

    Raises:
        ConfigError: the folder cannot be written or the disk is full.
    """
    state = codec.tensors(book)
    text = codec.records_text(book, {"tensors_sha256": _digest(state)}).encode()
    # One entry: safetensors writes several in an order that differs between processes, and equal books are equal bytes.
    about = {"records_sha256": hashlib.sha256(text).hexdigest(), "schema": codec.SCHEMA}
    numbers = safetensors.save(state, {ABOUT: json.dumps(about, sort_keys=True)})
    pending = {name: folder / f"{name}.new" for name in (TENSORS, RECORDS)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _write(pending[RECORDS], text)
            _write(pending[TENSORS], numbers)
        except OSError:
            for path in pending.values():
                path.unlink(missing_ok=True)
            raise
        os.replace(pending[TENSORS], folder / TENSORS)
        os.replace(pending[RECORDS], folder / RECORDS)
    except OSError as error:
        raise ConfigError(
            f"codebook {folder}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    return folder


def load(
    cls: type[Codebook], folder: Path, expect_fingerprint: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> Codebook:
    """Read both files, check them against each other and against the expected key space.

    Raises:
        ConfigError: missing, truncated, tampered with, of another schema, key space or merging rule.
    """
    split_settings(options)
    try:
        state, text = _read(folder)
        header, _, _ = codec.read_lines(text)
        if header.get("tensors_sha256") != _digest(state):
            raise ConfigError(f"codebook: {TENSORS} was changed after it was saved; restore both files from a copy")
        expected = plain_json(dict(expect_fingerprint or {}), "fingerprint")
        codec.refuse_other_fingerprint(header.get("fingerprint") or {}, expected)
        book = cls(header["dim"], header["fingerprint"], **{**header["storing"], **header["retrieving"], **options})
        codec.restore(book, state, text)
    except ConfigError as error:
        raise ConfigError(f"codebook {folder}{str(error).removeprefix('codebook')}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"codebook {folder}: its header is damaged; restore both files from a copy") from error
    return book


def _read(folder: Path) -> tuple[dict[str, Tensor], str]:
    """Tensors and the JSON lines that belong to them."""
    missing = [name for name in (TENSORS, RECORDS) if not (folder / name).is_file()]
    try:
        if TENSORS in missing or missing and not (folder / f"{RECORDS}.new").is_file():
            raise ConfigError(f"codebook: no {missing[0]} there; give the folder that a run saved its codebook in")
        with safe_open(folder / TENSORS, framework="pt") as file:
            metadata = _about((file.metadata() or {}).get(ABOUT))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("schema") != codec.SCHEMA:
            raise ConfigError(
                f"codebook: schema {metadata.get('schema')!r}, expected {codec.SCHEMA}; make the edits anew"
            )
        for name in (RECORDS, f"{RECORDS}.new"):
            data = (folder / name).read_bytes() if (folder / name).is_file() else b""
            if hashlib.sha256(data).hexdigest() == metadata.get("records_sha256"):
                return state, data.decode()
    except OSError as error:
        raise ConfigError(f"codebook: cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise ConfigError(
            f"codebook: {TENSORS} is truncated or damaged ({error}); restore both files from a copy"
        ) from error
    raise ConfigError(f"codebook: {RECORDS} is not what was saved with {TENSORS}; restore both files from a copy")


def _about(text: str | None) -> dict[str, Any]:
    """What a file of tensors says of itself; nothing where it does not say."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}\n".encode())
        digest.update(codec.raw_bytes(state[name]))
    return digest.hexdigest()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
