"""A codebook as text and tensors, and back: what state dicts and files share.

The text is JSON lines, for people too: a header, a line for each sentence in the order of the edits, a line for
each key. The tensors are the three buffers and the sidecar.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from data_modules.records import RecordError
from rv_edit.codebook.entries import make_entries
from rv_edit.codebook.fingerprint import difference
from rv_edit.codebook.growing import Rooms
from rv_edit.codebook.ledger import Ledger
from rv_edit.codebook.pairs import PairDistances
from rv_edit.codebook.settings import Storing, read_settings
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.codebook.codebook import Codebook

SCHEMA = 1
HOT = ("keys", "radii", "counts")
"""The buffers of the module; all else is cold."""
DTYPES = {
    "keys": torch.float16,
    "radii": torch.float32,
    "counts": torch.int32,
    "members": torch.float16,
    "member_radii": torch.float32,
    "calibration": torch.float32,
    "pair_counts": torch.int64,
}


def tensors(book: Codebook, *, derived: bool = True) -> dict[str, Tensor]:
    """Everything numeric, in main memory; ``derived``: with what could be counted anew, at a cost."""
    found = {
        "keys": book.keys,
        "radii": book.radii,
        "counts": book.counts,
        "members": book.ledger.members,
        "member_radii": book.ledger.radii,
        "calibration": book.calibration,
    }
    if derived:
        large = len(book) > book.retrieving.exact_keys
        counts = book.pairs.counts if large else None
        found["pair_counts"] = torch.zeros(0, dtype=torch.int64) if counts is None else torch.from_numpy(counts.copy())
    return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def raw_bytes(tensor: Tensor) -> bytes:
    """The bytes of a tensor, row by row."""
    return bytes(tensor.detach().cpu().contiguous().numpy().tobytes())


def line(record: Mapping[str, Any]) -> str:
    """One JSON line; what some readers take for a line break is escaped too."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    for mark in ("\x85", "\u2028", "\u2029"):
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text + "\n"


def records_text(book: Codebook, extra: Mapping[str, Any] | None = None, *, identity: bool = False) -> str:
    """Header, sentences and keys as JSON lines; ``identity``: only what edits and calibration determine."""
    ledger = book.ledger
    header = {
        "record": "codebook",
        "schema": SCHEMA,
        "dim": book.dim,
        "fingerprint": book.fingerprint,
        "storing": book.storing.stored(),
        "calibration_share": book.calibration_share,
        "edits": len(ledger.edits),
        "keys": len(book),
        **({} if identity else {"retrieving": asdict(book.retrieving), "nbytes": book.nbytes}),
        **(extra or {}),
    }
    lines = [line(header)]
    for position, (entry, placed) in enumerate(zip(ledger.entries, ledger.placed, strict=True)):
        lines.append(
            line(
                {
                    "record": "sentence",
                    "position": position,
                    "edit": entry.edit_id,
                    "kind": entry.kind,
                    "text": entry.text,
                    "provenance": entry.provenance,
                    "placed": placed,
                    "superseded_by": ledger.retired.get(position),
                }
            )
        )
    radii = book.radii.tolist()
    for row, group in enumerate(ledger.groups):
        values = list(ledger.sentences(group).values())
        key = {"id": ledger.entries[group[0]].id, "members": list(group), "radius": radii[row], "values": values}
        lines.append(line({"record": "key", "row": row, **key}))
    return "".join(lines)


def read_lines(text: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Header, sentence records and key records.

    Raises:
        ConfigError: not what :func:`records_text` writes, or of another schema.
    """
    try:
        parts = (part for part in text.split("\n") if part)
        records = [json.loads(part, parse_constant=_finite, parse_float=_finite) for part in parts]
        json.dumps(records, ensure_ascii=False).encode()  # half a surrogate pair could be read, and never written again
        header = records[0]
        kinds = [record["record"] for record in records]
    except (ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError("codebook: its records are damaged; restore them from a copy") from error
    if kinds[0] != "codebook" or header.get("schema") != SCHEMA:
        raise ConfigError(f"codebook: schema {header.get('schema')!r}, expected {SCHEMA}; make the edits anew")
    return (
        header,
        [record for record in records if record["record"] == "sentence"],
        [record for record in records if record["record"] == "key"],
    )


def _finite(text: str) -> float:
    """A number as :func:`line` writes them, which no NaN and no infinity is."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def pack(book: Codebook) -> Tensor:
    """The sidecar and the text as one uint8 tensor, in safetensors format."""
    cold = {name: tensor for name, tensor in tensors(book).items() if name not in HOT}
    cold["records"] = torch.frombuffer(bytearray(records_text(book).encode()), dtype=torch.uint8)
    return torch.frombuffer(bytearray(safetensors.save(cold)), dtype=torch.uint8)


def unpack(blob: object) -> tuple[dict[str, Tensor], str]:
    """What :func:`pack` made.

    Raises:
        ConfigError: something else.
    """
    if not isinstance(blob, Tensor) or blob.dtype != torch.uint8:
        raise ConfigError(f"codebook: its extra state is {type(blob).__name__}, not bytes; the state is damaged")
    try:
        cold = safetensors.load(raw_bytes(blob))
        return cold, raw_bytes(cold.pop("records")).decode()
    except (SafetensorError, KeyError, UnicodeDecodeError) as error:
        raise ConfigError("codebook: its extra state is damaged; restore it from a copy") from error


def refuse_other_fingerprint(stored: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raises ConfigError where two known key spaces differ, naming what does."""
    unlike = difference(stored, expected) if stored and expected else ""
    if unlike:
        raise ConfigError(f"codebook: of another key space ({unlike}); load the model it was made with")


def refuse_other_storing(stored: Storing, wanted: Storing) -> None:
    """Raises ConfigError where edits were merged by other rules than wanted: an undo could not be exact."""
    unlike = difference(asdict(stored), asdict(wanted))
    if unlike:
        raise ConfigError(f"codebook: its edits are merged by other rules ({unlike}); set the same ones")


def restore(book: Codebook, state: Mapping[str, Tensor], text: str) -> None:
    """Replace the contents of ``book`` by a stored state; nothing changes where it does not fit.

    Raises:
        ConfigError: damaged, of another dimension, key space, schema, or merged by other rules.
    """
    header, sentences, keys = read_lines(text)
    if header.get("dim") != book.dim:
        raise ConfigError(
            f"codebook: keys of {header.get('dim')} numbers, here {book.dim}; load the model it was made with"
        )
    refuse_other_fingerprint(header.get("fingerprint") or {}, book.fingerprint)
    if sentences or "key_bits" in (header.get("storing") or {}):
        refuse_other_storing(read_settings(Storing, header.get("storing")), book.storing)
    for name, dtype in {**DTYPES, "keys": book.keys.dtype}.items():
        if name not in state or state[name].dtype != dtype:
            raise ConfigError(f"codebook: {name} is missing or of another type than {dtype}; the state is damaged")
    share = header.get("calibration_share", 0.0)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
        raise ConfigError(f"codebook: calibration_share is {share!r}; its records are damaged")
    ledger = _ledger(book.dim, state, sentences, keys)
    _refuse_misfit(book.dim, book.keys.shape[1], state, ledger)
    device = book.keys.device
    book.ledger = ledger
    book.keys, book.radii, book.counts = (state[name].detach().clone().to(device) for name in HOT)
    book.calibration = state["calibration"].detach().cpu().clone()
    book.calibration_share = float(share)
    book.fingerprint = dict(header.get("fingerprint") or {}) or book.fingerprint
    counts = state["pair_counts"].cpu().numpy()
    large = len(book) > book.retrieving.exact_keys and len(counts) > 0
    book.changed(PairDistances.of(book.keys, book.retrieving.exact_keys, counts) if large else None)


def _ledger(
    dim: int, state: Mapping[str, Tensor], sentences: list[dict[str, Any]], keys: list[dict[str, Any]]
) -> Ledger:
    ledger, rooms = Ledger(dim), Rooms()
    members, radii = (state[name].detach().cpu().clone() for name in ("members", "member_radii"))
    if members.shape != (len(sentences), dim) or radii.shape != (len(sentences),):
        raise ConfigError(f"codebook: {len(sentences)} sentences but {len(members)} member keys; the state is damaged")
    try:
        edits: dict[str, list[dict[str, Any]]] = {}
        for record in sentences:
            edits.setdefault(record["edit"], []).append(record)
        for edit_id, records in edits.items():
            entries = make_entries(
                edit_id, *([record[name] for record in records] for name in ("text", "kind", "provenance"))
            )
            rows = slice(len(ledger.entries), len(ledger.entries) + len(entries))
            ledger.append(entries, members[rows], radii[rows], rooms.join)
            ledger.placed += [_typed(record, "placed", str) for record in records]
        ledger.retired = {
            at: _typed(r, "superseded_by", str) for at, r in enumerate(sentences) if r["superseded_by"] is not None
        }
        for record in keys:
            if not record["members"] or any(type(member) is not int for member in record["members"]):
                raise TypeError("members are not positions of sentences")
            ledger.add_key(tuple(record["members"]))
    except (KeyError, TypeError, IndexError, RecordError) as error:
        raise ConfigError(f"codebook: its records are damaged ({error}); restore them from a copy") from error
    for position in range(len(ledger.entries)):
        if position not in ledger.retired:
            ledger.stand_by(position)
    return ledger


def _typed(record: Mapping[str, Any], name: str, kind: type) -> Any:
    if not isinstance(record[name], kind):
        raise TypeError(f"{name} is {record[name]!r}")
    return record[name]


def _refuse_misfit(dim: int, width: int, state: Mapping[str, Tensor], ledger: Ledger) -> None:
    n = len(ledger.groups)
    shapes = {"keys": (n, width), "radii": (n,), "counts": (n,)}
    for name, shape in shapes.items():
        if tuple(state[name].shape) != shape:
            raise ConfigError(
                f"codebook: {name} of shape {tuple(state[name].shape)}, its records say {shape}; the state is damaged"
            )
    positions = [position for group in ledger.groups for position in group]
    fits = len(set(positions)) == len(positions) and set(positions) <= set(range(len(ledger.entries)))
    missing = set(range(len(ledger.entries))) - set(positions)
    if not fits or not missing <= set(ledger.retired) or tuple(state["calibration"].shape[1:]) != (dim,):
        raise ConfigError("codebook: its keys and sentences do not belong together; the state is damaged")
