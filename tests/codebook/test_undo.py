import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.records import RecordError
from rv_edit.codebook import Codebook
from tests.codebook.streams import DIM, edit_streams, put, random_book


def state_bytes(book):
    return {name: tensor.numpy().tobytes() for name, tensor in book.state_dict().items()}


def built(stream, **options):
    book = Codebook(DIM, **options)
    for edit in stream:
        put(book, edit)
    return book


@settings(max_examples=60, deadline=None)
@given(edit_streams(), st.data(), st.sampled_from([{}, {"merge": "both"}, {"max_values": 1}, {"exact_keys": 3}]))
def test_undone_is_never_made(stream, data, options):
    gone = data.draw(st.integers(0, len(stream) - 1))
    undone = built(stream, **options)
    undone.undo(stream[gone].edit_id)
    never = built(stream[:gone] + stream[gone + 1 :], **options)
    assert state_bytes(undone) == state_bytes(never)
    assert undone.checksum() == never.checksum()
    queries = torch.cat([edit.keys for edit in stream])
    assert undone.retrieve(queries) == never.retrieve(queries)


@settings(max_examples=25, deadline=None)
@given(edit_streams(8), st.randoms(use_true_random=False))
def test_undoing_all_in_any_order_leaves_an_empty_codebook(stream, random):
    book = built(stream)
    for edit in random.sample(stream, len(stream)):
        book.undo(edit.edit_id)
    assert state_bytes(book) == state_bytes(Codebook(DIM))


@settings(max_examples=25, deadline=None)
@given(edit_streams(8), st.data())
def test_edits_after_an_undo_or_a_reload_go_on_as_if_nothing_had_happened(stream, data):
    cut = data.draw(st.integers(1, len(stream)))
    book = built(stream[:cut])
    book.undo(stream[cut - 1].edit_id)
    resumed = Codebook(DIM)
    resumed.load_state_dict(book.state_dict())
    for edit in stream[cut - 1 :]:
        put(book, edit)
        put(resumed, edit)
    assert state_bytes(book) == state_bytes(resumed) == state_bytes(built(stream))


def test_streams_of_the_tests_do_merge_and_supersede():
    seen = set()

    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(edit_streams())
    def look(stream):
        book = built(stream)
        seen.update(book.placed)
        seen.update(["superseded"] if book.ledger.retired else [])

    look()
    assert seen == {"new", "overlap", "closeness", "both", "superseded"}


def test_an_unknown_edit_cannot_be_undone():
    book = random_book(4)
    with pytest.raises(RecordError, match="edit 'nobody': not in the codebook"):
        book.undo("nobody")
    assert len(book) == 4


def test_an_undone_id_may_be_used_again():
    book = random_book(4)
    before = book.checksum()
    book.undo("e1")
    keys = torch.zeros(1, 16)
    book.insert("e1", keys, ["Anew."], [1.0], ["answer"])
    assert book.edit_ids == ("e0", "e1")
    assert book.checksum() != before
