"""What GRACE and BalancEdit remember: keys with radii and trained values, and the stream of edits they come from.

A value is a function of the facts it was trained on, in their order (its chain); where a fact is placed is a function
of keys and labels alone. So an undo places the stream anew without the edit and trains only the chains that the edit
was part of; everything else is taken over as it is. What training needs of a fact, the states that enter the last
block, is kept in a cold sidecar in main memory, which counts as no memory of the edits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_modules.records import RecordError
from rv_edit.codebook.search import Widened, blocks, distances, nearest
from rv_edit.codebook.sized_state import SizedState
from rv_edit.editors import entry_codec as codec
from rv_edit.editors.base import EditDivergedError
from rv_edit.editors.placing import Fact, Row, Rule
from rv_edit.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Item:
    """One thing that an edit states, as the stream keeps it.

    Attributes:
        edit_id: the edit; ``number`` its place in it, from 0.
        kind: ``answer`` or ``reasoning``.
        text: what is to be answered, for people.
        fact: what the rules read.
        key: (dim,) fp32.
        states: what training reads, by name, each (T, …).
    """

    edit_id: str
    number: int
    kind: str
    text: str
    fact: Fact
    key: Tensor
    states: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Found:
    """The nearest entry of each of B queries: ``index`` (B,), ``distance`` (B,), and how far it ``reaches`` (B,)."""

    index: Tensor
    distance: Tensor
    reaches: Tensor

    @property
    def accepted(self) -> Tensor:
        """(B,) bool: which queries are in scope."""
        return self.distance <= self.reaches


@dataclass(frozen=True)
class Stored:
    """What an insertion did: entries founded, facts that joined one, and the edits put out of force."""

    added: int
    joined: int
    superseded: tuple[str, ...]


Trainer = Callable[[Item, "Tensor | None"], Tensor]
"""A fact, and the value to go on from (``None``: begin) -> its value (width,) fp32. The same for the same two."""


class EntryMemory(SizedState):
    """Entries that grow and load; same edits in the same order give the same bytes.

    Buffers: ``keys`` (n, dim), ``radii`` (n,) and ``values`` (n, width), all fp32 whatever the module is cast to. The
    stream travels as extra state, one uint8 tensor, so that every way of loading works, ``weights_only=True`` included.

    Args:
        dim: length of a key.
        width: length of a value.
        rule: places a fact.
        trainer: makes values.
        fingerprint: what keys and values mean (editor, model, layer, …), JSON; checked when a state is loaded.
        rules: the settings by which edits are made, JSON; those of a state that holds edits must be the same, else
            an undo could not be exact.
        rounding: share of a radius by which a distance may exceed it: another batch moves its last bits.
    """

    state_called = "edits"
    buffers_kept = codec.HOT
    keys: Tensor
    radii: Tensor
    values: Tensor

    def __init__(
        self,
        dim: int,
        width: int,
        *,
        rule: Rule,
        trainer: Trainer,
        fingerprint: Mapping[str, Any] | None = None,
        rules: Mapping[str, Any] | None = None,
        rounding: float = 1e-3,
    ) -> None:
        super().__init__()
        if not 0 <= rounding < 1:
            raise ConfigError(f"editor.rounding={rounding}: give a share from 0 to below 1")
        self.dim, self.width = dim, width
        self.rule, self.trainer = rule, trainer
        self.fingerprint, self.rules = dict(fingerprint or {}), dict(rules or {})
        self.rounding = rounding
        self.register_buffer("keys", torch.zeros(0, dim))
        self.register_buffer("radii", torch.zeros(0))
        self.register_buffer("values", torch.zeros(0, width))
        self.stream: tuple[Item, ...] = ()
        self.rows: tuple[Row, ...] = ()
        self._widened = Widened()

    # -- what is in it -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.rows)

    def __bool__(self) -> bool:
        """A memory is something even when it is empty, unlike a list."""
        return True

    @property
    def edit_ids(self) -> tuple[str, ...]:
        """Edits made and not undone, in their order."""
        return tuple(dict.fromkeys(item.edit_id for item in self.stream))

    @property
    def nbytes(self) -> int:
        """Bytes of keys, radii and values; not of the sidecar that an undo needs."""
        return self.keys.nbytes + self.radii.nbytes + self.values.nbytes

    def checksum(self) -> str:
        """SHA-256 of everything an edit can change, equal on all ranks and after a reload."""
        digest = hashlib.sha256()
        for tensor in codec.tensors(self).values():
            digest.update(codec.all_bytes(tensor))
        return digest.hexdigest()

    # -- edits ---------------------------------------------------------------------------------------------

    def insert(self, items: Sequence[Item]) -> Stored:
        """Make one edit, item by item. All of it or nothing, whatever interrupts it.

        Raises:
            RecordError: the id is in use.
            EditDivergedError: a key or a radius is not finite, or training diverged.
        """
        edit_id = items[0].edit_id
        if edit_id in self.edit_ids:
            raise RecordError(f"edit {edit_id}: already made; undo it first, or give it another id")
        for item in items:
            if not bool(torch.isfinite(item.key).all()) or not 0 <= item.fact.radius < float("inf"):
                raise EditDivergedError(f"edit {edit_id}: its key or radius ({item.fact.radius}) is not finite")
        stream = (*self.stream, *items)
        rows, stored = self._placed(stream, self.rows, len(self.stream))
        self._take(stream, rows, {row.chain: index for index, row in enumerate(self.rows)})
        return stored

    def undo(self, edit_id: str) -> None:
        """Restore the state as if ``edit_id`` had never been made.

        Raises:
            RecordError: no such edit, or training anew diverged; nothing is changed.
        """
        if edit_id not in self.edit_ids:
            raise RecordError(f"edit {edit_id}: not made here, so it cannot be undone")
        first = next(at for at, item in enumerate(self.stream) if item.edit_id == edit_id)
        rest = tuple(item for item in self.stream if item.edit_id != edit_id)
        rows, _ = self._placed(rest, (), 0)
        self._take(rest, rows, _renumbered(self.rows, first, len(self.stream) - len(rest)))

    @torch.no_grad()
    def find(self, queries: Tensor) -> Found:
        """The nearest entry of each query (B, dim); its result does not depend on the batch it comes in.

        There must be an entry.
        """
        near, index = nearest(queries.to(self.keys.device, torch.float32), self.keys, 1, widened=self._widened)
        index = index[:, 0]
        return Found(index, near[:, 0], self.radii[index] * (1 + self.rounding))

    def _placed(self, stream: Sequence[Item], rows: tuple[Row, ...], start: int) -> tuple[tuple[Row, ...], Stored]:
        """Place the facts of ``stream`` from ``start`` on, behind those that ``rows`` come from."""
        facts, keys = [item.fact for item in stream], torch.stack([item.key for item in stream]) if stream else None
        added, gone = 0, dict[str, None]()
        for position in range(start, len(stream)):
            assert keys is not None
            apart = _distances(keys[position], keys[:position])
            step = self.rule(rows, facts[: position + 1], [apart[row.founder] for row in rows])
            rows, added = step.rows, added + step.new
            gone.update(dict.fromkeys(stream[place].edit_id for place in step.superseded))
        return rows, Stored(added, len(stream) - start - added, tuple(gone))

    def _take(self, stream: tuple[Item, ...], rows: tuple[Row, ...], known: Mapping[tuple[int, ...], int]) -> None:
        """Go over to other entries; ``known``: chains, in the numbering of ``stream``, whose values are stored here."""
        trained: dict[tuple[int, ...], Tensor] = {}

        def value(chain: tuple[int, ...]) -> Tensor:
            if chain in known:
                return self.values[known[chain]].detach().cpu()
            if chain not in trained:
                before = value(chain[:-1]) if len(chain) > 1 else None
                trained[chain] = self.trainer(stream[chain[-1]], before).detach().to("cpu", torch.float32)
            return trained[chain]

        # Tensors made under inference mode could not be trained on outside of it.
        with torch.inference_mode(False), torch.no_grad():
            fresh = {index: value(row.chain) for index, row in enumerate(rows) if row.chain not in known}
            device = self.keys.device
            values = torch.zeros(len(rows), self.width, device=device)
            old = [index for index in range(len(rows)) if index not in fresh]
            values[old] = self.values[[known[rows[index].chain] for index in old]]
            for index, made in fresh.items():
                values[index] = made.to(device)
            keys = [stream[row.founder].key for row in rows]
            keys_now = torch.stack(keys).to(device) if rows else torch.zeros(0, self.dim, device=device)
            radii = torch.tensor([row.radius for row in rows], dtype=torch.float32, device=device)
        self.keys, self.radii, self.values = keys_now, radii, values
        self.stream, self.rows = stream, rows

    # -- files and states ----------------------------------------------------------------------------------

    def save(self, folder: Path) -> Path:
        """Write ``entries.safetensors`` into ``folder``, whole or not at all."""
        return codec.save(self, folder)

    def load(self, folder: Path) -> None:
        """Take up what :meth:`save` wrote.

        Raises:
            ConfigError: missing, damaged, of another editor, model or rules; nothing is changed.
        """
        codec.load(self, folder)

    def get_extra_state(self) -> Tensor:
        """The stream as one uint8 tensor."""
        return codec.pack(self)

    def take_state(self, tensors: Mapping[str, Tensor], extra: Any) -> None:
        """See :class:`~rv_edit.codebook.sized_state.SizedState`."""
        codec.restore(self, {**tensors, **codec.unpack(extra)})

    def extra_repr(self) -> str:
        """Size."""
        return f"dim={self.dim}, width={self.width}, entries={len(self)}, edits={len(self.edit_ids)}"


def _distances(key: Tensor, keys: Tensor) -> list[float]:
    """Distances of one key to all."""
    parts = [distances(key[None], keys[rows])[0] for rows in blocks(len(keys), keys.shape[1])]
    found: list[float] = torch.cat(parts).tolist() if parts else []
    return found


def _renumbered(rows: Sequence[Row], first: int, removed: int) -> dict[tuple[int, ...], int]:
    """Chains without any of the ``removed`` facts from ``first`` on, in the numbering without them, and their rows."""
    gone = range(first, first + removed)
    return {
        tuple(position if position < first else position - removed for position in row.chain): index
        for index, row in enumerate(rows)
        if not any(position in gone for position in row.chain)
    }
