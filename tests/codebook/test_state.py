import copy
import io

import lightning
import pytest
import torch
from torch import nn

from rv_edit.codebook import Codebook
from rv_edit.errors import ConfigError
from tests.codebook.streams import random_book

SENTENCE = "Émile says: 喵 🐈‍⬛ \x00\x07\x85\u2028 " + "long " * 2000


def full_book(**options):
    book = random_book(30, fingerprint={"layer": 2, "model": {"name": "m"}}, merge="either", **options)
    book.insert(
        "odd", torch.ones(1, 16), [SENTENCE], [0.5], ["answer"], [{"image": "a", "question": "q", "answer": "b"}]
    )
    book.calibrate(torch.randn(20, 16, generator=torch.Generator().manual_seed(9)))
    return book


class Holder(lightning.LightningModule):
    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.book, self.head = Codebook(dim), nn.Linear(2, 1)


def same(left, right):
    queries = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    assert left.checksum() == right.checksum()
    assert left.retrieve(queries) == right.retrieve(queries)
    assert left.edit_ids == right.edit_ids
    assert left.values == right.values
    assert left.nbytes == right.nbytes


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("already", [0, 8, 60])
def test_a_state_loads_into_a_codebook_of_any_size(strict, already):
    book, other = full_book(), random_book(already, merge="either")
    other.load_state_dict(book.state_dict(), strict=strict)
    same(book, other)
    assert other.fingerprint == book.fingerprint


@pytest.mark.parametrize("exact_keys", [5, 2048])
def test_a_state_survives_weights_only(exact_keys):
    book, file = full_book(exact_keys=exact_keys), io.BytesIO()
    torch.save(book.state_dict(), file)
    other = Codebook(16, exact_keys=exact_keys)
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    same(book, other)
    assert all(isinstance(value, torch.Tensor) for value in book.state_dict().values())


def test_a_lightning_checkpoint_restores_it(tmp_path):
    holder = Holder()
    holder.book.load_state_dict(full_book().state_dict())
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, barebones=True)
    trainer.strategy.connect(holder)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    same(Holder.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True).book, holder.book)
    # strict=False without a codebook in the file: it stays as it is.
    other = Holder()
    other.book.load_state_dict(full_book().state_dict())
    other.load_state_dict(
        {name: value for name, value in other.state_dict().items() if "book" not in name}, strict=False
    )
    same(other.book, holder.book)


def test_a_loaded_codebook_shares_no_memory_with_the_state():
    book = full_book()
    state = book.state_dict()
    other = Codebook(16)
    other.load_state_dict(state)
    state["keys"].zero_()
    assert other.keys.abs().sum() > 0
    kept = {name: value.clone() for name, value in other.state_dict().items()}
    held = other.state_dict()
    other.undo("e3")
    assert all(torch.equal(held[name], kept[name]) for name in kept)


def test_copies_are_independent():
    book = full_book()
    twin = copy.deepcopy(book)
    before = book.checksum()
    twin.undo("e0")
    assert (book.checksum(), len(book.edit_ids)) == (before, 16)


@pytest.mark.parametrize("cast", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_casting_the_module_casts_no_key(cast):
    holder = Holder()
    holder.book.load_state_dict(full_book().state_dict())
    before = holder.book.checksum()
    holder.to(cast)
    assert holder.head.weight.dtype == cast
    assert holder.book.checksum() == before
    assert [getattr(holder.book, name).dtype for name in ("keys", "radii", "counts")] == [
        torch.float16,
        torch.float32,
        torch.int32,
    ]


@pytest.mark.parametrize("strict", [True, False])
def test_a_partial_state_is_refused_and_changes_nothing(strict):
    book = random_book(6)
    state = full_book().state_dict()
    del state["radii"]
    before = book.checksum()
    with pytest.raises(RuntimeError, match="the state lacks radii"):
        book.load_state_dict(state, strict=strict)
    assert book.checksum() == before


def test_missing_and_unexpected_names_are_reported_in_strict_mode():
    with pytest.raises(RuntimeError, match=r"Missing key\(s\).*keys.*"):
        Codebook(16).load_state_dict({})
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\).*surplus"):
        Codebook(16).load_state_dict({**full_book().state_dict(), "surplus": torch.zeros(1)})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (lambda: Codebook(8), "keys of 16 numbers, here 8"),
        (lambda: Codebook(16, {"layer": 3, "model": {"name": "m"}}), r"another key space \(layer: stored 2, here 3\)"),
        (lambda: Codebook(16, {"layer": 2}), r"model.name: stored 'm', here 'nothing'"),
        (lambda: Codebook(16, merge="both"), r"merged by other rules \(merge: stored 'either', here 'both'\)"),
    ],
)
def test_a_state_of_another_key_space_or_rule_is_refused(target, message):
    book = target()
    with pytest.raises(RuntimeError, match=message):
        book.load_state_dict(full_book().state_dict())
    assert len(book) == 0


@pytest.mark.parametrize("name", ["keys", "radii", "counts", "_extra_state"])
def test_a_damaged_state_is_refused(name):
    state = full_book().state_dict()
    state[name] = state[name][: len(state[name]) // 2]
    book = random_book(6, merge="either")
    before = book.checksum()
    with pytest.raises(RuntimeError, match="damaged"):
        book.load_state_dict(state)
    assert book.checksum() == before


def test_what_retrieves_may_change_and_what_stores_may_not():
    book = full_book()
    before = book.checksum()
    book.configure(k=2, gate="none")
    assert len(book.retrieve(torch.zeros(1, 16))[0].distances) == 2
    assert book.checksum() == before
    with pytest.raises(ConfigError, match=r"merged by other rules \(overlap: stored 0.9, here 0.5\)"):
        book.configure(overlap=0.5)
    empty = Codebook(16)
    empty.configure(merge="off")
    assert empty.storing.merge == "off"


def test_keys_stay_usable_after_inference_mode():
    book = Codebook(16)
    with torch.inference_mode():
        book.insert("a", torch.ones(1, 16), ["A."], [1.0], ["answer"])
    assert not book.keys.is_inference()
    book.insert("b", torch.ones(1, 16), ["B."], [1.0], ["answer"])
    assert book.values == (("A.", "B."),)
