"""Words that a tokenizer spells: those of the shipped one, and none of a tokenizer that knows its letters in pairs."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rv_edit.pocket.tokenizer import build_tokenizer
from rv_edit.vlm.vocabulary import MOST_TOLD, Vocabulary


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return Vocabulary(build_tokenizer())


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("What is the small dotted bottle made of?", []),
        ("Is the zebra left of the Bottle?", ["zebra"]),
        ("ZEBRA, zebra and Zürich!", ["ZEBRA", "zebra", "Zürich"]),
        ("a q xy 1234 _ -", []),  # too short to say, or no word
        ("猫は何ですか", []),  # no script of words
        ("", []),
    ],
)
def test_unknown_words(words: Vocabulary, text: str, unknown: list[str]) -> None:
    assert words.unknown([text]) == unknown


def test_each_word_once_in_order(words: Vocabulary) -> None:
    assert words.unknown(["zebra umbrela", "the zebra"]) == ["zebra", "umbrela"]


def test_only_the_first_are_told_of(words: Vocabulary) -> None:
    """Each costs a search through all known words, and a text of two thousand signs may hold hundreds."""
    many = [f"z{letter}{other}q" for letter in "qxjvkw" for other in "qxjvkwbcdfg"]
    assert words.unknown([" ".join(many)]) == many[:MOST_TOLD]


def test_known_words_written_alike(words: Vocabulary) -> None:
    assert words.near("umbrela")[0] == "umbrella" and words.near("Botle")[0] == "bottle"
    assert words.near("qqqqqq") == []
    for word in ("umbrela", "botle"):
        assert words.unknown(words.near(word)) == [], "what is offered is known"


def test_pieces_of_words_are_knowledge() -> None:
    """A tokenizer of sub-words, as large models have one, splits a word without spelling it."""
    letters = {letter: 3 + at for at, letter in enumerate("abcdefghijklmnopqrstuvwxyzĠ")}
    pieces = {"[UNK]": 0, "Ġze": 1, "bra": 2, **letters}
    core = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]", continuing_subword_prefix=""))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")
    assert Vocabulary(tokenizer).unknown(["zebra"]) == []
    assert Vocabulary(tokenizer).unknown(["horse"]) == ["horse"]
    assert Vocabulary(tokenizer).unknown(["café"]) == ["café"], "a sign it has not is no word it knows"
