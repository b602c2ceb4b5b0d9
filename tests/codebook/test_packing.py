"""Keys in 8 bits: rounded as they say, and everything else as with 16."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.records import RecordError
from rv_edit.codebook import Codebook
from rv_edit.codebook.packing import GROUP, pack, packed_width, widen
from rv_edit.codebook.pairs import PairDistances
from rv_edit.errors import ConfigError
from tests.codebook.streams import DIM, edit_streams, put


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(0, 5), st.integers(0, 2**31))
def test_numbers_are_rounded_to_their_groups_step(dim, count, seed):
    generator = torch.Generator().manual_seed(seed)
    scale = 10.0 ** torch.randint(-3, 3, (count, 1), generator=generator)
    keys = (torch.randn(count, dim, generator=generator) * scale).half()
    packed = pack(keys)
    assert packed.dtype == torch.int8 and packed.shape == (count, packed_width(dim))
    wide = widen(packed)
    assert wide.shape == (count, dim) and wide.dtype == torch.float32
    for start in range(0, dim, GROUP):
        part, back = keys[:, start : start + GROUP].double().numpy(), wide[:, start : start + GROUP].double().numpy()
        step = np.abs(part).max(axis=1, keepdims=True) / 127
        assert (np.abs(part - back) <= 0.5 * step * 1.01 + 0.07 * step + 5e-6).all()  # a step is itself in fp16


def test_a_large_number_costs_only_its_own_group_precision():
    keys = torch.full((1, 2 * GROUP), 0.01).half()
    keys[0, 0] = 100.0
    wide = widen(pack(keys))
    assert wide[0, 0] == pytest.approx(100, rel=1e-3) and wide[0, GROUP:].tolist() == pytest.approx(
        [0.01] * GROUP, rel=0.01
    )


def test_zero_and_shapes_of_any_depth_come_back():
    assert widen(pack(torch.zeros(3, 70))).tolist() == [[0.0] * 70] * 3
    packed = pack(torch.randn(6, 70))
    assert torch.equal(widen(packed.view(2, 3, -1)), widen(packed).view(2, 3, 70))
    assert torch.equal(widen(packed[4]), widen(packed)[4])


@settings(max_examples=25, deadline=None)
@given(edit_streams())
def test_a_codebook_of_8_bits_is_consistent(stream):
    """Pairs, undo, state and files all speak of the keys as they are kept."""
    book, again = Codebook(DIM, key_bits=8), Codebook(DIM, key_bits=8)
    for edit in stream:
        put(book, edit)
    assert book.keys.dtype == torch.int8 and len(book.keys) == len(book) == len(book.values)
    if len(book) > 1:
        known = PairDistances.of(book.keys, 4000).percentile(30)
        assert book.pairs.percentile(30) == pytest.approx(known, rel=1e-6)
    again.load_state_dict(book.state_dict())
    assert again.checksum() == book.checksum()
    queries = torch.cat([edit.keys for edit in stream]).float()
    assert again.retrieve(queries) == book.retrieve(queries)
    without = Codebook(DIM, key_bits=8)
    for edit in stream[1:]:
        put(without, edit)
    book.undo(stream[0].edit_id)
    assert book.checksum() == without.checksum()


def test_files_keep_the_bits_and_other_bits_are_refused(tmp_path):
    book = Codebook(100, key_bits=8, merge="off")
    keys = torch.randn(30, 100, generator=torch.Generator().manual_seed(0))
    book.insert("e", keys, [f"Fact {row}." for row in range(30)], [0.1] * 30, ["reasoning"] * 30)
    book.save(tmp_path)
    loaded = Codebook.load(tmp_path)
    assert loaded.storing.key_bits == 8 and loaded.checksum() == book.checksum()
    assert loaded.nbytes == 30 * (packed_width(100) + 8) + sum(len(f"Fact {row}.") for row in range(30))
    with pytest.raises(ConfigError, match="key_bits: stored 8, here 16"):
        Codebook.load(tmp_path, key_bits=16)
    with pytest.raises(ConfigError, match="merged by other rules"):
        book.configure(key_bits=16)
    with pytest.raises(ConfigError, match="give 16 or 8"):
        Codebook(4, key_bits=4)
    empty = Codebook(100)
    empty.configure(key_bits=8)
    empty.insert("e", keys, [f"Fact {row}." for row in range(30)], [0.1] * 30, ["reasoning"] * 30)
    assert empty.keys.dtype == torch.int8


def test_the_nearest_keys_are_nearly_those_of_16_bits():
    generator = torch.Generator().manual_seed(1)
    keys, queries = torch.randn(500, 192, generator=generator), torch.randn(100, 192, generator=generator)
    books = [Codebook(192, merge="off", gate="none", key_bits=bits) for bits in (16, 8)]
    for book in books:
        book.insert("e", keys, [f"Fact {row}." for row in range(500)], [0.1] * 500, ["reasoning"] * 500)
    wide, narrow = (book.retrieve(queries) for book in books)
    assert np.mean([a.key_ids[0] == b.key_ids[0] for a, b in zip(wide, narrow, strict=True)]) > 0.95
    for a, b in zip(wide, narrow, strict=True):
        assert b.distances == pytest.approx(a.distances, rel=5e-3)
    exact = np.linalg.norm(queries[0].double().numpy() - widen(books[1].keys).double().numpy(), axis=1)
    assert sorted(exact)[:5] == pytest.approx(narrow[0].distances, rel=1e-5)


def test_codebooks_of_16_bits_say_nothing_of_bits():
    """Their checksums are those they always had."""
    assert "key_bits" not in Codebook(4).storing.stored() and Codebook(4, key_bits=8).storing.stored()["key_bits"] == 8
    with pytest.raises(RecordError):
        Codebook(4, key_bits=8).insert("e", torch.full((1, 4), float("nan")), ["A."], [0.1], ["answer"])
