"""Cleaning and comparing of record text."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from data_modules.text import answer_key, as_sentence, clean_text, question_key, words

anything = st.text(st.characters(), max_size=60)


@given(anything)
def test_clean_text_is_stable_and_printable(text: str) -> None:
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in cleaned)
    cleaned.encode("utf-8")  # lone surrogates would raise


def test_clean_text_keeps_meaning() -> None:
    assert (
        clean_text("caf\u0065\u0301\r\n  \U0001f469\u200d\U0001f373 naïve\x07")
        == "café \U0001f469\u200d\U0001f373 naïve"
    )
    assert clean_text("a\ud83db") == "a\ufffdb"
    assert clean_text("\ufeff\u202eabc\u200b") == "abc"


def test_keys() -> None:
    assert question_key("What is  the cat's name?") == question_key("what IS the cat's name ?")
    assert question_key("What is it?") != question_key("What was it?")
    assert question_key("???") == "???"  # nothing but punctuation still compares
    assert answer_key("A person") == answer_key("Persons.") == "person"
    assert len({answer_key(text) for text in ("bus", "glass", "tennis", "grass", "bu")}) == 5
    assert words("Is it 2-3 o'clock?") == ["is", "it", "2", "3", "o'clock"]


def test_as_sentence() -> None:
    assert as_sentence("a cat sits ") == "A cat sits."
    assert as_sentence("Really?") == "Really?"
    assert as_sentence("  ") == ""
