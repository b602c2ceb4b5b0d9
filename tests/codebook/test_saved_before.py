"""Codebooks saved before keys could be packed or indexed: the same edits give the same checksum, and old files load."""

from pathlib import Path

import torch

from rv_edit.codebook import Codebook
from tests.codebook.streams import plain_stream

SAVED = Path(__file__).parent / "saved"
"""What an earlier version saved of :func:`plain_stream`; its header knows neither ``key_bits`` nor ``engine``."""
CHECKSUM = "592cff51137a3ed9bdac5c86b8f4704bd4f7f31927eccc8f5a213cf8b3ce5d07"


def test_an_old_folder_loads_with_its_checksum_and_goes_on_as_one_made_now(tmp_path):
    assert '"key_bits"' not in (SAVED / "codebook.jsonl").read_text().splitlines()[0]
    old, new = Codebook.load(SAVED), plain_stream()
    assert old.checksum() == new.checksum() == CHECKSUM and old.storing.key_bits == 16
    queries = torch.arange(60).view(12, 5) % 9 / 4
    assert old.retrieve(queries) == new.retrieve(queries)
    for book in (old, new):
        book.undo("e3")
        book.insert("later", torch.ones(1, 5), ["A later fact."], [0.5], ["reasoning"])
    assert old.checksum() == new.checksum() and old.retrieve(queries) == new.retrieve(queries)
    new.save(tmp_path)
    assert '"key_bits"' not in (tmp_path / "codebook.jsonl").read_text()
