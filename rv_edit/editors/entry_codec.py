"""An :class:`~rv_edit.editors.entry_memory.EntryMemory` as tensors, and back: what state dicts and files share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from rv_edit.codebook.codec import line, raw_bytes
from rv_edit.codebook.fingerprint import difference
from rv_edit.editors.placing import Fact, Row
from rv_edit.editors.whole_file import write_whole
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.editors.entry_memory import EntryMemory, Item

SCHEMA = 1
FILE = "entries.safetensors"
HOT = ("keys", "radii", "values")
"""The buffers of the module; all else is cold."""
KEYS, RECORDS, DIGEST = "stream.keys", "records", "sha256"
STATE = "stream.state."
"""What the names of training states begin with; those of all facts lie one after the other."""


def tensors(memory: EntryMemory) -> dict[str, Tensor]:
    """Everything, in main memory: buffers, stream, and the records as JSON lines in a uint8 tensor."""
    found = {name: getattr(memory, name) for name in HOT}
    stream = memory.stream
    found[KEYS] = torch.stack([item.key for item in stream]) if stream else torch.zeros(0, memory.dim)
    for name in sorted({name for item in stream for name in item.states}):
        found[STATE + name] = torch.cat([item.states[name] for item in stream])
    found[RECORDS] = torch.frombuffer(bytearray(_records(memory).encode()), dtype=torch.uint8)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def _records(memory: EntryMemory) -> str:
    header = {
        "record": "edits",
        "schema": SCHEMA,
        "dim": memory.dim,
        "width": memory.width,
        "fingerprint": memory.fingerprint,
        "rules": memory.rules,
    }
    lines = [line(header)]
    for item in memory.stream:
        lines.append(
            line(
                {
                    "record": "fact",
                    "edit": item.edit_id,
                    "number": item.number,
                    "kind": item.kind,
                    "text": item.text,
                    "label": item.fact.label,
                    "subject": item.fact.subject,
                    "radius": item.fact.radius,
                    "sizes": {name: len(state) for name, state in item.states.items()},
                }
            )
        )
    for row in memory.rows:
        lines.append(line({"record": "entry", "founder": row.founder, "radius": row.radius, "chain": row.chain}))
    return "".join(lines)


def pack(memory: EntryMemory) -> Tensor:
    """All but the buffers as one uint8 tensor, in safetensors format."""
    cold = {name: tensor for name, tensor in tensors(memory).items() if name not in HOT}
    return torch.frombuffer(bytearray(safetensors.save(cold)), dtype=torch.uint8)


def unpack(blob: object) -> dict[str, Tensor]:
    """What :func:`pack` made.

    Raises:
        ConfigError: something else.
    """
    if not isinstance(blob, Tensor) or blob.dtype != torch.uint8:
        raise ConfigError(f"edits: their extra state is {type(blob).__name__}, not bytes; the state is damaged")
    try:
        found: dict[str, Tensor] = safetensors.load(raw_bytes(blob))
    except SafetensorError as error:
        raise ConfigError(f"edits: their extra state is damaged ({error}); restore it from a copy") from error
    return found


def save(memory: EntryMemory, folder: Path) -> Path:
    """Write the file into ``folder``, made where it does not exist; what was there stays whole until replaced.

    Raises:
        ConfigError: the folder cannot be written or the disk is full.
    """
    state = tensors(memory)
    data = safetensors.save(state, {DIGEST: _digest(state)})
    return write_whole(folder / FILE, data, f"edits {folder}")


def load(memory: EntryMemory, folder: Path) -> None:
    """Read what :func:`save` wrote into ``memory``.

    Raises:
        ConfigError: missing, damaged, of another editor, model or rules.
    """
    from safetensors import safe_open

    path = folder / FILE
    if not path.is_file():
        raise ConfigError(f"codebook={folder}: no {FILE} there; give the folder that a run of this editor saved")
    try:
        with safe_open(path, framework="pt") as file:
            digest = (file.metadata() or {}).get(DIGEST)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"codebook={path}: cannot be read ({error}); restore it from a copy") from error
    if digest != _digest(state):
        raise ConfigError(f"codebook={path}: was changed after it was saved; restore it from a copy")
    try:
        restore(memory, state)
    except ConfigError as error:
        raise ConfigError(f"codebook={path}: {str(error).removeprefix('edits: ')}") from error


def restore(memory: EntryMemory, state: Mapping[str, Tensor]) -> None:
    """Replace the contents of ``memory`` by a stored state; nothing changes where it does not fit.

    Raises:
        ConfigError: damaged, of another editor, model, schema, or made by other rules.
    """
    try:
        header, facts, entries = _read(raw_bytes(state[RECORDS]).decode())
        if header.get("schema") != SCHEMA:
            raise ConfigError(f"edits: schema {header.get('schema')!r}, expected {SCHEMA}; make the edits anew")
        unlike = difference(header["fingerprint"], memory.fingerprint)
        if unlike:
            raise ConfigError(f"edits: of another editor or model ({unlike}); load what they were made with")
        unlike = difference(header["rules"], memory.rules)
        if facts and unlike:
            raise ConfigError(f"edits: made by other rules ({unlike}); set the same ones")
        stream = _stream(state, facts)
        rows = tuple(Row(int(row["founder"]), float(row["radius"]), tuple(row["chain"])) for row in entries)
        shapes = {"keys": (len(rows), memory.dim), "radii": (len(rows),), "values": (len(rows), memory.width)}
        for name, shape in shapes.items():
            if tuple(state[name].shape) != shape or state[name].dtype != torch.float32:
                raise ValueError(f"{name} of shape {tuple(state[name].shape)}, the records say {shape}")
        founders = torch.stack([stream[row.founder].key for row in rows]) if rows else state["keys"]
        radii = torch.tensor([row.radius for row in rows])
        if not torch.equal(founders, state["keys"].cpu()) or not torch.equal(radii, state["radii"].cpu()):
            raise ValueError("keys and records do not belong together")
        if any(not 0 <= position < len(stream) for row in rows for position in row.chain):
            raise ValueError("an entry comes from facts that are not there")
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"edits: their records are damaged ({error}); restore them from a copy") from error
    device = memory.keys.device
    memory.keys, memory.radii, memory.values = (state[name].detach().clone().to(device) for name in HOT)
    memory.stream, memory.rows = stream, rows


def _read(text: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    records = [json.loads(part) for part in text.split("\n") if part]
    kinds = {kind: [record for record in records if record["record"] == kind] for kind in ("edits", "fact", "entry")}
    if len(kinds["edits"]) != 1:
        raise ValueError("no header")
    return kinds["edits"][0], kinds["fact"], kinds["entry"]


def _stream(state: Mapping[str, Tensor], facts: Sequence[Mapping[str, Any]]) -> tuple[Item, ...]:
    from rv_edit.editors.entry_memory import Item

    if len(state[KEYS]) != len(facts):
        raise ValueError(f"{len(facts)} facts but {len(state[KEYS])} keys")
    at: dict[str, int] = {}
    items = []
    for fact, key in zip(facts, state[KEYS].detach().cpu(), strict=True):
        states = {}
        for name, size in fact["sizes"].items():
            start = at.get(name, 0)
            states[name] = state[STATE + name][start : start + size].detach().cpu().clone()
            at[name] = start + size
            if len(states[name]) != size:
                raise ValueError(f"the states {name} are cut off")
        subject = None if fact["subject"] is None else (str(fact["subject"][0]), str(fact["subject"][1]))
        made = Fact(tuple(fact["label"]), subject, float(fact["radius"]))
        items.append(Item(fact["edit"], fact["number"], fact["kind"], fact["text"], made, key.clone(), states))
    return tuple(items)


def all_bytes(tensor: Tensor) -> bytes:
    """The bytes of a tensor of any type, bfloat16 included."""
    return raw_bytes(tensor.detach().cpu().contiguous().view(torch.uint8))


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}\n".encode())
        digest.update(all_bytes(state[name]))
    return digest.hexdigest()
