"""Words that a tokenizer has no piece for, so that its model has hardly ever seen them as words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

WORD = re.compile(r"[^\W\d_]+")
SHORTEST = 3
"""Letters from which on a word counts: shorter ones are often spelled by tokenizers that know everything."""
MOST_COMPARED = 20_000
"""Words that a wrong one is compared with at most; a vocabulary with more of its first letter gets no suggestions."""
MOST_TOLD = 50
"""Words that are told of at most: finding what is written alike takes a while for each."""
MARKS = "▁Ġ"
"""What tokenizers put where a word begins."""


class Vocabulary:
    """Tells known words from others.

    Args:
        tokenizer: a fast tokenizer of ``transformers``.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[str]] | None = None

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """Words of ``texts`` that are read letter by letter, in the order in which they occur, each once; of many some.

        Only scripts with upper and lower case are looked at: others are read sign by sign by everybody.
        """
        found: list[str] = []
        for word in dict.fromkeys(word for text in texts for word in WORD.findall(text)):
            if len(word) >= SHORTEST and word.lower() != word.upper() and self._spelled(word):
                found.append(word)
                if len(found) == MOST_TOLD:
                    break
        return found

    def near(self, word: str, most: int = 3) -> list[str]:
        """Known words that are written alike, the most alike first."""
        if self._known is None:
            self._known = {}
            for piece in self._tokenizer.get_vocab():
                bare = piece.lstrip(MARKS).lower()
                if bare != piece.lower() and len(bare) >= SHORTEST and bare.isalpha():
                    self._known.setdefault(bare[0], []).append(bare)
        low = word.lower()
        offered = sorted(set(self._known.get(low[0], ())))
        if len(offered) > MOST_COMPARED:
            return []
        alike = [other for other in offered if abs(len(other) - len(low)) <= 3]
        return difflib.get_close_matches(low, alike, most, 0.6)

    def _spelled(self, word: str) -> bool:
        """Whether no piece of it, at the start of a text or within one, is longer than a letter."""
        unknown = self._tokenizer.unk_token_id
        for text in (word, f" {word}"):
            ids = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            if len(ids) < len(word) and (unknown is None or unknown not in ids):
                return False
        return True
