"""How the text of records is cleaned, compared and split into words: one rule each, used everywhere."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiners: the only format characters kept, since emoji and some scripts are spelt with them."""
_ARTICLES = re.compile(r"^(?:a|an|the)\s+")
_WORD = re.compile(r"\w+(?:'\w+)?")
_NOT_WORD = re.compile(r"[^\w\s]+")


def clean_text(text: str) -> str:
    r"""Make user text safe to tokenise and print, and change nothing that carries meaning.

    Unicode NFC; control characters and line breaks become blanks, invisible format characters (bidirectional
    marks, byte-order marks) go, lone surrogates become U+FFFD, runs of blanks become one. Emoji stay.

    >>> clean_text("What\tis\u202e this\x00 ?") == "What is this ?"
    True
    """
    kept: list[str] = []
    for char in unicodedata.normalize("NFC", text):
        category = unicodedata.category(char)
        if category == "Cc":
            kept.append(" ")
        elif category == "Cs":
            kept.append("\ufffd")
        elif category != "Cf" or char in _JOINERS:
            kept.append(char)
    return " ".join("".join(kept).split())


def words(text: str) -> list[str]:
    """The words of ``text`` in lower case, without punctuation.

    >>> words("What's the Child doing?")
    ["what's", 'the', 'child', 'doing']
    """
    return _WORD.findall(clean_text(text).casefold())


def question_key(text: str) -> str:
    """Two questions with the same key are the same question: case, punctuation and blanks aside.

    >>> question_key("What  is THIS?") == question_key("what is this")
    True
    """
    return " ".join(words(text)) or clean_text(text).casefold()


def answer_key(text: str) -> str:
    """Two answers with the same key mean the same: case, article, punctuation and a plain plural aside.

    >>> answer_key("The Dogs") == answer_key("a dog"), answer_key("glass") == answer_key("glas")
    (True, False)
    """
    plain = _NOT_WORD.sub(" ", clean_text(text).casefold())
    plain = _ARTICLES.sub("", " ".join(plain.split()))
    if len(plain) > 3 and plain.endswith("s") and not plain.endswith(("ss", "us", "is")):
        plain = plain[:-1]
    return plain or clean_text(text).casefold()


def as_sentence(text: str) -> str:
    """A statement as a sentence: capital first letter, full stop at the end.

    >>> as_sentence("a trumpet is a kind of instrument")
    'A trumpet is a kind of instrument.'
    """
    text = clean_text(text)
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def counted(count: int, noun: str) -> str:
    """How many of something, in words that agree.

    >>> counted(1, "edit"), counted(2, "edit")
    ('1 edit', '2 edits')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"
