"""The 10,000th edit against the 100th, what an edit takes up, and how exact the threshold stays."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch

from benchmarks.speed_parts.common import Options, Part, Row, alternately, machine
from benchmarks.speed_parts.editing import fill, known_keys, reasonedit
from data_modules.records import Edit, EditReceipt
from rv_edit.codebook import Codebook
from rv_edit.codebook.pairs import PairDistances
from rv_edit.codebook.search import distances
from rv_edit.editors.reasonedit import ReasonEdit

COST, KILOBYTES, PERCENT = 1.3, 26.0, 1.0
EARLY, LATE, FIRST = 100, 10_000, 2000
ENTRIES = 10
"""Entries of a made-up edit: an answer, and for three facts two crops and the whole picture."""
REAL_DIM = 1024 + 768
"""LLaVA-1.5-7B's vision tower and the sentence encoder."""


def measure(options: Options) -> Part:
    """The same edits go into a small and a large codebook in turn, each followed by a question."""
    from rv_edit.pocket.dataset import load

    name = options.models[0]
    editor = reasonedit(name)
    keys, sentences = known_keys(editor, options.of(200, 8))
    records = [record for record in load("aokvqa").records[FIRST:] if len(record.reasoning) > 1]
    edits = [record.as_edit() for record in records[: options.rounds + 2]]
    probe = reasonedit(name).edit(edits[-1])
    radius = float(torch.cdist(keys[:50], keys[:50]).median()) / 10
    books = [filled(editor, options.of(size, 12) - 1, keys, sentences, radius) for size in (LATE, EARLY)]
    late, early, results = alternately(
        lambda turn: one_edit(books[0], edits[turn]),
        lambda turn: one_edit(books[1], edits[turn]),
        options.rounds,
        options.clock,
    )
    alone, _, _ = alternately(
        lambda turn: books[0].codebook.insert(f"again{turn}", *again(books[0], turn)),
        lambda turn: None,
        options.rounds,
        options.clock,
    )
    stored = [receipt.keys_added + receipt.keys_merged for pair in results for receipt in pair]
    merged = sum(receipt.keys_merged for pair in results for receipt in pair)
    rows = [
        Row.timed(
            f"{name}: edit {options.of(LATE, 12):,} and a question, {len(books[0].codebook):,} keys",
            late,
            early,
            f"edit {options.of(EARLY, 12)}",
            COST,
            at_least=False,
            agrees="same crops",
        )
    ]
    for left, right in results:
        assert left.evidence == right.evidence
    notes = [
        f"{name}: {statistics.mean(stored):.1f} entries an edit were stored ({probe.keys_added} new keys in an empty "
        f"codebook), of which {merged} of {sum(stored)} merged; going into the codebook takes "
        f"{1e3 * statistics.median(alone):.0f} ms of the late edit.",
    ]
    rows += [*memory(options, round(statistics.mean(stored)), sentences), *threshold(options, keys, sentences)]
    return Part(rows, notes, machine(options))


def filled(editor: ReasonEdit, edits: int, keys: Any, sentences: list[str], radius: float) -> ReasonEdit:
    """The editor over another codebook, with made-up edits in it."""
    book = Codebook(editor.codebook.dim, editor.embedding.fingerprint, **vars(editor.codebook.retrieving))
    fill(book, edits, ENTRIES, keys, sentences, radius)
    return editor.with_codebook(book)


def one_edit(editor: ReasonEdit, edit: Edit) -> EditReceipt:
    """Store it, and ask what is known about a question: the threshold is computed anew then."""
    receipt = editor.edit(edit)
    editor.codebook.retrieve(editor.codebook.keys[-1:].float())
    return receipt


def again(editor: ReasonEdit, turn: int) -> tuple[Any, ...]:
    """What :meth:`Codebook.insert` is given, with the keys that the codebook got last."""
    keys = editor.codebook.keys[-ENTRIES:].float() + 0.01 * turn
    return keys, [f"Sentence {turn} {row}." for row in range(ENTRIES)], [0.1] * ENTRIES, ["reasoning"] * ENTRIES


def memory(options: Options, entries: int, sentences: list[str]) -> list[Row]:
    """Kilobytes an edit at real dimensions, nothing merged: keys, radii, counts and sentences."""
    rows = []
    for count, what in ((entries, "as stored above"), (7, "keys of crops alone (`reasoning_keys=patch`)")):
        book = Codebook(REAL_DIM, merge="off")
        edits = options.of(50, 2)
        for number in range(edits):
            texts = [f"{sentences[(number + row) % len(sentences)]}" for row in range(count)]
            made = torch.randn(count, REAL_DIM, generator=torch.Generator().manual_seed(number))
            book.insert(f"e{number}", made, texts, [0.1] * count, ["reasoning"] * count)
        size = book.nbytes / edits / 1000
        rows.append(
            Row(
                f"an edit of {count} keys at {REAL_DIM} numbers, {what}",
                size,
                count * REAL_DIM * 4 / 1000,
                "fp32 keys alone",
                size,
                KILOBYTES,
                at_least=False,
                unit="KB",
            )
        )
    return rows


def threshold(options: Options, keys: Any, sentences: list[str]) -> list[Row]:
    """Percent that the counted percentile is off the exact one, beyond the number of keys where it is exact."""
    book = Codebook(keys.shape[1], merge="off")
    fill(book, options.of(300, 12), ENTRIES, keys, sentences, 0.1)
    every = distances(book.keys, book.keys).numpy()[np.triu_indices(len(book), 1)]
    exact, rows = float(np.percentile(every, 25)), []
    counted = PairDistances.of(book.keys, 2).percentile(25)
    off = 100 * abs(counted - exact) / exact
    what = f"25th percentile of {len(every):,} distances, counted; % off"
    rows.append(Row(what, counted, exact, "numpy's percentile of all", off, PERCENT, at_least=False, unit="distance"))
    return rows
