"""A copy of a codebook: the same bytes, and from then on a life of its own."""

from __future__ import annotations

import pytest
import torch

from rv_edit.codebook import Codebook


def filled(exact_keys: int, count: int = 6) -> Codebook:
    book = Codebook(3, {"layer": 1}, merge="off", gate="percentile", min_edits=2, exact_keys=exact_keys)
    for number in range(count):
        insert(book, number)
    book.calibrate(torch.rand(4, 3, generator=torch.Generator().manual_seed(1)))
    return book


def insert(book: Codebook, number: int) -> None:
    keys = torch.rand(2, 3, generator=torch.Generator().manual_seed(number))
    book.insert(f"e{number}", keys, [f"Answer {number}.", f"Fact {number}."], [0.1, 0.2], ["answer", "reasoning"])


@pytest.mark.parametrize("exact_keys", [2048, 2], ids=["matrix", "histogram"])
def test_a_copy_and_its_original_do_not_meet(exact_keys: int) -> None:
    book = filled(exact_keys)
    queries = torch.rand(8, 3, generator=torch.Generator().manual_seed(9))
    before, checksum = book.retrieve(queries), book.checksum()
    copied = book.copy()
    assert copied.checksum() == checksum and copied.retrieve(queries) == before
    assert copied.retrieving == book.retrieving and copied.storing == book.storing
    insert(copied, 7)
    copied.undo("e0")
    assert book.checksum() == checksum and book.retrieve(queries) == before
    reference = filled(exact_keys)
    insert(reference, 7)
    reference.undo("e0")
    assert copied.checksum() == reference.checksum() and copied.retrieve(queries) == reference.retrieve(queries)
    insert(book, 8)
    assert copied.checksum() == reference.checksum() and len(copied) == len(reference)
