"""Edited weights on disk: one safetensors file, whose metadata says what it belongs to; no pickle."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors

from rv_edit.editors.sealing import digest
from rv_edit.editors.weight_memory import WeightMemory
from rv_edit.editors.whole_file import write_whole
from rv_edit.errors import ConfigError

FILE = "weights.safetensors"
ABOUT = "rv_edit"


def save(memory: WeightMemory, folder: Path) -> Path:
    """Write the file into ``folder``, made where it does not exist; what was there stays whole until replaced.

    Raises:
        ConfigError: the folder cannot be written or the disk is full.
    """
    state = {name: tensor.cpu().contiguous() for name, tensor in memory.export().items()}
    # One entry: safetensors writes several in an order that differs between processes.
    header = json.dumps({**json.loads(memory.header()), "sha256": digest(state)}, sort_keys=True)
    return write_whole(folder / FILE, safetensors.save(state, {ABOUT: header}), str(folder))


def load(memory: WeightMemory, folder: Path) -> None:
    """Read the file and replace the edits in force by its.

    Raises:
        ConfigError: missing, damaged, changed after it was saved, or of another model, editor or settings; the edits in
            force stay.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConfigError(f"codebook={folder}: no {FILE} there; give the folder that a run of this editor saved")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(ABOUT, "")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"codebook={folder}: {FILE} cannot be read ({error}); restore it from a copy") from error
    try:
        whole = json.loads(header).get("sha256") == digest(state)
    except (ValueError, AttributeError):
        whole = False
    if not whole:
        raise ConfigError(f"codebook={folder}: {FILE} was changed after it was saved; restore it from a copy")
    try:
        memory.take(header, state)
    except ConfigError as error:
        raise ConfigError(f"codebook={folder}: {error}") from error
