"""How an edit enters a codebook: entry by entry, superseding, merging or founding a key (paper 3.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rv_edit.codebook.entries import Entry, InsertReport, Superseded
from rv_edit.codebook.ledger import Placed
from rv_edit.codebook.maths import merge_target
from rv_edit.codebook.nearness import Nearness, row_of
from rv_edit.codebook.pairs import PairDistances

if TYPE_CHECKING:
    from rv_edit.codebook.codebook import Codebook


def store(book: Codebook, entries: Sequence[Entry], members: Tensor, radii: Tensor) -> InsertReport:
    """Put one checked edit into ``book``: members (m, dim) fp16 and radii (m,) fp32 in main memory."""
    before = book.nbytes
    span = book.ledger.append(entries, members, radii, book.rooms.join)
    near = Nearness(book.as_kept(members), book.keys)
    book.rooms.begin()
    superseded: list[Superseded] = []
    placed: Counter[Placed] = Counter()
    founders, full = [], 0
    for position in span:
        superseded += _supersede(book, position, near)
        group, how, passed_over = _place(book, position, near, position - span.start)
        book.ledger.stand_by(position)
        book.ledger.placed.append(how)
        placed[how] += 1
        full += passed_over
        founders.append(book.ledger.entries[group[0]].id)
    return InsertReport(
        edit_id=entries[0].edit_id,
        added=placed["new"],
        merged=len(span) - placed["new"],
        by_overlap=placed["overlap"],
        by_closeness=placed["closeness"],
        by_both=placed["both"],
        full=full,
        superseded=tuple(superseded),
        key_ids=tuple(founders),
        bytes_added=book.nbytes - before,
    )


def _supersede(book: Codebook, position: int, near: Nearness) -> list[Superseded]:
    """Take out of force what the entry contradicts; a key left without a sentence goes."""
    ledger = book.ledger
    entry, gone = ledger.entries[position], []
    for other in ledger.contradicted(entry):
        ledger.retire(other, entry.edit_id)
        gone.append(Superseded(ledger.entries[other].edit_id, ledger.entries[other].text))
        key = next(index for index, group in enumerate(ledger.groups) if other in group)
        if ledger.live(ledger.groups[key]):
            ledger.set_key(key, ledger.groups[key])
        else:
            _remove(book, key)
            near.remove(key)
    return gone


def _place(book: Codebook, position: int, near: Nearness, number: int) -> tuple[tuple[int, ...], Placed, bool]:
    """Merge the edit's entry ``number`` into the nearest key that takes it, or let it found one.

    Returns:
        the key's group, how the entry came in, and whether a nearer key was full.
    """
    ledger, entry = book.ledger, book.ledger.entries[position]
    key, radius = book.as_kept(ledger.members[position][None])[0], ledger.radii[position]
    row = near.row(number)

    def has_room(index: int) -> bool:
        sentences = ledger.sentences(ledger.groups[index])
        return entry.normal in sentences or len(sentences) < book.storing.max_values

    target, condition, passed_over = merge_target(
        row.astype(np.float64),
        float(radius),
        book.radii.cpu().numpy().astype(np.float64),
        rule=book.storing.merge,
        overlap=book.storing.overlap,
        closeness=book.storing.closeness,
        has_room=has_room,
    )
    if target is None or condition is None:
        book.pairs.append(row)
        near.append(key)
        book.rooms.add_key(book, key, radius)
        ledger.add_key((position,))
        return ledger.groups[-1], "new", passed_over
    # The radius stays: radii that grew with their key would swallow ever more.
    group = (*ledger.groups[target], position)
    moved = book.as_kept(ledger.center(group)[None])[0].to(book.keys.device)
    old_row = row_of(book.keys[target], book.keys) if book.pairs.wants_old_row else None
    book.pairs.move(target, row_of(moved, book.keys), old_row)
    book.rooms.move_key(book, target, moved, len(group))
    near.move(target, moved)
    ledger.set_key(target, group)
    return group, condition, passed_over


def _remove(book: Codebook, key: int) -> None:
    pairs = book.pairs
    old_row = row_of(book.keys[key], book.keys) if pairs.wants_old_row else None
    book.keys, book.radii, book.counts = (
        torch.cat([tensor[:key], tensor[key + 1 :]]) for tensor in (book.keys, book.radii, book.counts)
    )
    book.ledger.remove_key(key)
    if pairs.drop(key, old_row):
        book.pairs = PairDistances.of(book.keys, pairs.exact_keys)
