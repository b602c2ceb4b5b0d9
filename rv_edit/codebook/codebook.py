"""The codebook: keys, radii and sentences of all edits, as a module whose state grows and loads (paper 3.2)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from data_modules.records import RecordError
from rv_edit.codebook import codec, storage
from rv_edit.codebook.checks import checked_members, checked_queries
from rv_edit.codebook.entries import InsertReport, Retrieval, make_entries, plain_json
from rv_edit.codebook.gates import Gatekeeper
from rv_edit.codebook.growing import Rooms
from rv_edit.codebook.indexed import FaissIndex
from rv_edit.codebook.insertion import store
from rv_edit.codebook.ledger import Ledger
from rv_edit.codebook.packing import pack
from rv_edit.codebook.pairs import PairDistances
from rv_edit.codebook.prompting import choose_facts
from rv_edit.codebook.search import Widened, nearest
from rv_edit.codebook.settings import Retrieving, Storing, split_settings
from rv_edit.codebook.sized_state import SizedState
from rv_edit.errors import ConfigError

Result = TypeVar("Result")


class Codebook(SizedState):
    """Keys that lead to sentences; same edits in the same order give the same bytes.

    Buffers: ``keys`` (n, dim) fp16, with ``key_bits=8`` packed; ``radii`` (n,) fp32; ``counts`` (n,) int32 entries that
    each key stands for. They keep their types whatever the module is cast to. Everything else travels as extra state,
    one uint8 tensor, so that every way of loading works, ``weights_only=True`` included.

    Args:
        dim: length of a key.
        fingerprint: what the keys mean (model, layer, λ, …), JSON values; checked when a state is loaded. Empty:
            unknown, taken from the state.
        options: fields of :class:`~rv_edit.codebook.settings.Storing` and
            :class:`~rv_edit.codebook.settings.Retrieving`: ``k``, ``percentile``, ``gate``, ``merge``, …

    Raises:
        ConfigError: an option that does not exist or is out of range.

    >>> book = Codebook(2, merge="off")
    >>> sentences = ["The cat is Tom.", "Tom is red."]
    >>> report = book.insert("e1", torch.eye(2), sentences, [0.1, 0.1], ["answer", "reasoning"])
    >>> book.retrieve(torch.tensor([[1.0, 0.1]]))[0].facts
    ('The cat is Tom.', 'Tom is red.')
    >>> book.undo("e1"); len(book)
    0
    """

    state_called = "codebook"
    buffers_kept = codec.HOT
    keys: Tensor
    radii: Tensor
    counts: Tensor

    def __init__(self, dim: int, fingerprint: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__()
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            raise ConfigError(f"codebook: dim={dim!r}; give the length of a key, a whole number from 1")
        storing, retrieving = split_settings(options)
        self.dim = dim
        self.fingerprint: dict[str, Any] = plain_json(dict(fingerprint or {}), "codebook, fingerprint")
        self.storing = Storing(**storing)
        self._gatekeeper = Gatekeeper(Retrieving(**retrieving))
        self.register_buffer("keys", self.as_kept(torch.zeros(0, dim, dtype=torch.float16)))
        self.register_buffer("radii", torch.zeros(0))
        self.register_buffer("counts", torch.zeros(0, dtype=torch.int32))
        self.ledger = Ledger(dim)
        self.calibration = torch.zeros(0, dim)
        self.calibration_share = 0.0
        self._pairs: PairDistances | None = PairDistances(self.retrieving.exact_keys)
        self._widened = Widened()
        self._index: FaissIndex | None = None
        self.rooms = Rooms()

    # -- what is in it -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of keys."""
        return len(self.keys)

    def __bool__(self) -> bool:
        """A codebook is something even when it is empty, unlike a list."""
        return True

    @property
    def retrieving(self) -> Retrieving:
        """How queries are answered; :meth:`configure` changes it."""
        return self._gatekeeper.settings

    @property
    def edit_ids(self) -> tuple[str, ...]:
        """Edits in force, in the order in which they were made."""
        return tuple(self.ledger.edits)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """``edit#entry`` of the entry that founded each key."""
        return tuple(self.ledger.founder(key).id for key in range(len(self)))

    @property
    def values(self) -> tuple[tuple[str, ...], ...]:
        """The sentences of each key, oldest first, without superseded ones."""
        return tuple(tuple(self.ledger.sentences(group).values()) for group in self.ledger.groups)

    @property
    def placed(self) -> dict[str, int]:
        """How many entries founded a key (``new``) or merged, by what held (``overlap``, ``closeness``, ``both``)."""
        return dict(Counter(self.ledger.placed))

    @property
    def nbytes(self) -> int:
        """Bytes of keys, radii, counts and sentences (UTF-8); not of the sidecar that an undo needs."""
        tensors = sum(getattr(self, name).nbytes for name in codec.HOT)
        return tensors + sum(self.ledger.value_bytes)

    @property
    def pairs(self) -> PairDistances:
        """Distances of all pairs of keys."""
        if self._pairs is None or self._pairs.exact_keys != self.retrieving.exact_keys:
            self._pairs = PairDistances.of(self.keys, self.retrieving.exact_keys)
        return self._pairs

    @pairs.setter
    def pairs(self, pairs: PairDistances) -> None:
        self._pairs = pairs

    def checksum(self) -> str:
        """SHA-256 of everything an edit or a calibration can change, equal on all ranks and after a reload."""
        digest = hashlib.sha256(codec.records_text(self, identity=True).encode())
        for tensor in codec.tensors(self, derived=False).values():
            digest.update(codec.raw_bytes(tensor))
        return digest.hexdigest()

    # -- edits ---------------------------------------------------------------------------------------------

    def insert(
        self,
        edit_id: str,
        keys: Tensor,
        values: Sequence[str],
        radii: Tensor | Sequence[float],
        kinds: Sequence[str],
        provenance: Sequence[Mapping[str, Any]] | None = None,
    ) -> InsertReport:
        """Store one edit, entry by entry: each joins a key near enough or founds one. All of it or nothing.

        Args:
            edit_id: not yet in use.
            keys: (m, dim), stored in fp16.
            values: m sentences.
            radii: (m,) >= 0; a key of radius 0 never merges.
            kinds: ``answer`` or ``reasoning``, for each.
            provenance: for each a mapping of JSON values, see :class:`~rv_edit.codebook.entries.Entry`.

        Raises:
            RecordError: the id is in use, shapes differ, a number is not finite, a sentence is empty.
        """
        entries = make_entries(edit_id, values, kinds, provenance)
        if edit_id in self.ledger.edits:
            raise RecordError(f"edit {edit_id!r}: already in the codebook; undo it first or give another id")
        members, spread = checked_members(edit_id, keys, radii, (len(entries), self.dim))
        return self._whole_or_not(lambda: store(self, entries, members, spread))

    def undo(self, edit_id: str) -> None:
        """Restore the codebook as if ``edit_id`` had never been made: replay the stream without it.

        Raises:
            RecordError: no such edit.
        """
        if edit_id not in self.ledger.edits:
            raise RecordError(f"edit {edit_id!r}: not in the codebook, so it cannot be undone")
        stream = self.ledger

        def replay() -> None:
            self._clear()
            for other, span in stream.edits.items():
                if other != edit_id:
                    rows = slice(span.start, span.stop)
                    store(self, stream.entries[rows], stream.members[rows], stream.radii[rows])

        self._whole_or_not(replay)

    def copy(self) -> Codebook:
        """Another codebook in this state. Tensors and entries are shared, since no edit changes one in place.

        So one of the two can be edited while others read from the other, and costs little.
        """
        other = Codebook(self.dim, self.fingerprint, **asdict(self.storing), **asdict(self.retrieving))
        other.keys, other.radii, other.counts, other.ledger = self.keys, self.radii, self.counts, self.ledger
        other.calibration, other.calibration_share = self.calibration, self.calibration_share
        other._pairs = None if self._pairs is None else self._pairs.copy()
        return other

    # -- questions -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def retrieve(self, queries: Tensor) -> list[Retrieval]:
        """The sentences of the nearest keys for each query (B, dim), or none where even the nearest is too far.

        A query's result does not depend on the batch it comes in.

        Raises:
            RecordError: a query is not finite or of another length.
            ConfigError: ``gate=calibrated`` before :meth:`calibrate`.
        """
        queries = checked_queries(queries, self.dim, "queries")
        if not len(self):
            return [Retrieval(accepted=False, threshold=0.0) for _ in range(len(queries))]
        scales = self._gatekeeper.scales(self)
        near, index = self._nearest(queries.to(self.keys.device), scales)
        thresholds = self._gatekeeper.thresholds(self, index[:, 0])
        results = []
        for row, where, threshold in zip(near.tolist(), index.tolist(), thresholds, strict=True):
            accepted = row[0] <= threshold
            chosen = choose_facts(self.ledger, where) if accepted else []
            results.append(
                Retrieval(
                    accepted=accepted,
                    threshold=threshold,
                    distances=tuple(row),
                    key_ids=tuple(self.ledger.founder(key).id for key in where),
                    facts=tuple(text for text, _ in chosen),
                    fact_keys=tuple(place for _, place in chosen),
                )
            )
        return results

    @torch.no_grad()
    def calibrate(self, queries: Tensor, share: float = 0.01) -> None:
        """Set what ``gate=calibrated`` accepts: the distance that ``share`` of these unrelated queries would pass.

        The queries (m, dim) are kept, so that the threshold follows the keys as edits come and go.
        """
        queries = checked_queries(queries, self.dim, "calibration queries")
        if not len(queries) or not 0 <= share < 1:
            raise ConfigError(
                f"codebook: calibration with {len(queries)} queries and share={share}; "
                "give some queries and a share from 0 to below 1"
            )
        self.calibration, self.calibration_share = queries.cpu().clone(), float(share)
        self._gatekeeper.forget()

    def configure(self, **options: Any) -> None:
        """Change how queries are answered (``k``, ``percentile``, ``gate``, …); what is stored stays as it is."""
        storing, retrieving = split_settings(options)
        rules = Storing(**{**asdict(self.storing), **storing})
        if self.ledger.entries:
            codec.refuse_other_storing(self.storing, rules)
        self._gatekeeper = Gatekeeper(Retrieving(**{**asdict(self.retrieving), **retrieving}))
        other, self.storing = rules.key_bits != self.storing.key_bits, rules
        if other:
            self.keys = self.as_kept(torch.zeros(0, self.dim, dtype=torch.float16, device=self.keys.device))

    # -- files and states ----------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Write ``codebook.safetensors`` and ``codebook.jsonl``; see :mod:`rv_edit.codebook.storage`."""
        return storage.save(self, Path(folder))

    @classmethod
    def load(
        cls,
        folder: str | Path,
        expect_fingerprint: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Codebook:
        """Read what :meth:`save` wrote; ``options`` change how it retrieves.

        Raises:
            ConfigError: missing, truncated, tampered with, of another schema or another key space.
        """
        return storage.load(cls, Path(folder), expect_fingerprint, options)

    def get_extra_state(self) -> Tensor:
        """Sentences, stream and calibration as one uint8 tensor."""
        return codec.pack(self)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Buffers without the room kept behind them, which a file would hold too."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in codec.HOT:
            destination[prefix + name] = destination[prefix + name].clone()

    def take_state(self, tensors: Mapping[str, Tensor], extra: Any) -> None:
        """See :class:`SizedState`."""
        cold, text = codec.unpack(extra)
        codec.restore(self, {**tensors, **cold}, text)

    def extra_repr(self) -> str:
        """Size and dimension."""
        return f"dim={self.dim}, keys={len(self)}, edits={len(self.edit_ids)}"

    # -- inside the package --------------------------------------------------------------------------------

    def as_kept(self, keys: Tensor) -> Tensor:
        """Rows of :attr:`keys` that stand for ``keys`` (m, dim) fp16: these, or packed ones."""
        return pack(keys) if self.storing.key_bits == 8 else keys

    def changed(self, pairs: PairDistances | None = None) -> None:
        """Keys were replaced: drop what was computed from the old ones; ``pairs``: those of the new, if known."""
        self._pairs = pairs
        self._gatekeeper.forget()

    def _nearest(self, queries: Tensor, scales: Tensor | None) -> tuple[Tensor, Tensor]:
        """The k nearest keys of each query, by the engine in use."""
        options = self.retrieving
        if options.engine == "faiss" and scales is None and len(self) > options.index_from:
            if self._index is None or self._index.probes != options.probes:
                self._index = FaissIndex(options.probes)
            return self._index.nearest(queries, self.keys, options.k)
        return nearest(queries, self.keys, options.k, scales, self._widened)

    def _whole_or_not(self, change: Callable[[], Result]) -> Result:
        """Run ``change``; whatever interrupts it, a Ctrl-C too, leaves the codebook as it was."""
        before = self.keys, self.radii, self.counts, self.ledger
        self.ledger = self.ledger.copy()
        try:
            # Tensors made under inference mode could not be edited again outside of it.
            with torch.inference_mode(False), torch.no_grad():
                result = change()
        except BaseException:
            self.keys, self.radii, self.counts, self.ledger = before
            self.changed()
            raise
        self._gatekeeper.forget()
        return result

    def _clear(self) -> None:
        self.keys, self.radii, self.counts = self.keys[:0], self.radii[:0], self.counts[:0]
        self.ledger = Ledger(self.dim)
        self.changed(PairDistances(self.retrieving.exact_keys))
