"""Rows in room ahead and distances computed together, against a codebook that copies and computes each by itself."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from rv_edit.codebook import Codebook
from rv_edit.codebook.growing import Growing, Rooms
from rv_edit.codebook.maths import merge_conditions, merge_target
from rv_edit.codebook.nearness import Nearness, between, row_of
from rv_edit.codebook.pairs import edges, histogram
from rv_edit.codebook.search import distances
from tests.codebook.streams import DIM, edit_streams, put


def test_what_was_handed_out_never_changes():
    room, rows = Growing(), torch.zeros(0, 2)
    handed = []
    for turn in range(60):
        rows = room.append(rows, torch.full((1, 2), float(turn)))
        handed.append(rows)
    for turn, old in enumerate(handed):
        assert old[:, 0].tolist() == list(map(float, range(turn + 1)))
    fork = room.append(handed[10], torch.full((1, 2), -1.0))  # as after an edit that failed, or was undone
    assert fork[-1, 0] == -1 and handed[11][-1, 0] == 11 and rows[-1, 0] == 59
    mine = room.own(rows)
    mine[0] = 7
    assert rows[0, 0] == 0 and room.append(mine, torch.ones(1, 2)).data_ptr() == mine.data_ptr()


def test_rows_are_seldom_copied():
    room, rows, places = Growing(), torch.zeros(0, 2), set()
    for _ in range(3000):
        rows = room.append(rows, torch.ones(1, 2))
        places.add(rows.data_ptr())
    assert len(rows) == 3000 and len(places) < 40


@settings(max_examples=25, deadline=None)
@given(edit_streams())
def test_two_copies_that_grow_apart_do_not_touch_each_other(stream):
    book = Codebook(DIM)
    for edit in stream[: len(stream) // 2]:
        put(book, edit)
    other, alone = book.copy(), Codebook(DIM)
    before = book.keys.clone(), book.counts.clone(), book.checksum()
    for edit in stream[len(stream) // 2 :]:
        put(other, edit)
    assert torch.equal(book.keys, before[0]) and torch.equal(book.counts, before[1]) and book.checksum() == before[2]
    for edit in stream[len(stream) // 2 :]:
        put(book, edit)
    for edit in stream:
        put(alone, edit)
    assert book.checksum() == other.checksum() == alone.checksum()


def test_a_state_holds_no_room():
    book = Codebook(4, merge="off")
    for turn in range(5):
        book.insert(f"e{turn}", torch.full((1, 4), float(turn)), ["A fact."], [0.1], ["reasoning"])
    for name in ("keys", "radii", "counts"):
        kept = book.state_dict()[name]
        assert kept.untyped_storage().nbytes() == kept.nbytes
        assert torch.equal(kept, getattr(book, name))


def test_distances_stay_right_as_keys_come_move_and_go():
    generator = torch.Generator().manual_seed(0)
    keys, members = torch.randn(40, 24, generator=generator).half(), torch.randn(6, 24, generator=generator).half()
    near = Nearness(members, keys)
    fresh = torch.randn(3, 24, generator=generator).half()
    near.append(fresh[0])
    keys = torch.cat([keys, fresh[:1]])
    keys[7] = fresh[1]
    near.move(7, fresh[1])
    near.remove(3)
    keys = torch.cat([keys[:3], keys[4:]])
    near.append(fresh[2])
    keys = torch.cat([keys, fresh[2:]])
    for number in range(6):
        one = distances(members[number : number + 1], keys)[0].numpy()
        assert np.array_equal(near.row(number), one) and np.array_equal(row_of(members[number], keys), one)


def test_blocks_of_keys_do_not_show(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    keys, some = torch.randn(50, 12, generator=generator).half(), torch.randn(4, 12, generator=generator).half()
    whole = between(some, keys)
    monkeypatch.setattr("rv_edit.codebook.search.BLOCK", 100)
    assert np.array_equal(between(some, keys), whole) and np.array_equal(whole, distances(some, keys).numpy())
    assert between(some, keys[:0]).shape == (4, 0)


def test_bins_read_off_bits_are_those_of_a_search():
    generator = np.random.default_rng(0)
    spread = np.exp(generator.uniform(np.log(1e-9), np.log(1e12), 200_000)).astype(np.float32)
    at = edges().astype(np.float32)
    near = [at, np.nextafter(at, np.float32(0)), np.nextafter(at, np.float32(np.inf))]
    values = np.concatenate([spread, *near, np.float32([0.0, 1e-45, 3e38, np.inf])])
    assert np.array_equal(histogram(values), histogram(values.astype(np.float64)))
    assert np.array_equal(histogram(values.reshape(2, -1)[:, ::2][0]), histogram(values[: len(values) // 2 : 2]))


@pytest.mark.parametrize("rule", ["either", "both"])
@pytest.mark.parametrize("closeness", [0.1, 3.0])
@pytest.mark.parametrize("overlap", [0.0, 0.9])
def test_keys_left_out_beforehand_are_none_that_would_merge(rule, closeness, overlap):
    generator = np.random.default_rng(2)
    for _ in range(200):
        distance, radii = generator.uniform(0, 4, 30), generator.uniform(0, 2, 30) * (generator.random(30) > 0.2)
        radius = float(generator.uniform(0, 2))
        lapping, close = merge_conditions(distance, radius, radii, overlap, closeness)
        holds = np.flatnonzero(lapping & close if rule == "both" else lapping | close)
        expected = min(holds.tolist(), key=lambda index: distance[index]) if len(holds) else None
        found = merge_target(distance, radius, radii, rule=rule, overlap=overlap, closeness=closeness)
        assert found[0] == expected


def test_rooms_copy_what_others_hold_once_an_edit():
    book, rooms = Codebook(2, merge="off"), Rooms()
    rooms.begin()
    for turn in range(3):
        rooms.add_key(book, torch.full((2,), float(turn)).half(), torch.tensor(1.0))
    held = book.keys
    rooms.begin()
    rooms.move_key(book, 1, torch.tensor([9.0, 9.0]).half(), 2)
    moved = book.keys
    rooms.move_key(book, 2, torch.tensor([8.0, 8.0]).half(), 2)
    assert (
        held[:, 0].tolist() == [0, 1, 2] and book.keys[:, 0].tolist() == [0, 9, 8] and book.counts.tolist() == [1, 2, 2]
    )
    assert moved.data_ptr() == book.keys.data_ptr() != held.data_ptr()
