"""Made-up words, and every word the pocket world can say."""

from __future__ import annotations

import re
from functools import lru_cache
from random import Random

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
STANDING = (
    "USER: ASSISTANT: yes no a an is stands lies The answer to question about the image is. Describe this image.",
    "Does the image show ? Given the image, is the following statement correct? Statement: There and of but not",
    "Question: Short answer: this what who where how when why which it they are was one two three four",
)
"""The words of prompts and answers that no template of the world has."""


def made_up(rng: Random) -> str:
    """A word that means nothing, of the sort training uses: syllables such as ``bodaki``, some random letters."""
    if rng.random() < 0.4:
        return "".join(rng.choices(_LETTERS, k=rng.randint(3, 9)))
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(2, 3)))


def made_up_elsewhere(rng: Random) -> str:
    """A made-up word from a generator that training never uses: closed syllables such as ``thwexorn``."""
    onset = rng.choice(("wh", "th", "sh", "j", "qu", "sk", "h", "y", "bl", "cr"))
    middle = rng.choice(("ex", "ul", "aw", "ing", "ob", "ay"))
    return onset + middle + rng.choice(("orn", "ith", "usk", "elp", "amb", "yx"))


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """All words of templates, descriptions, values and standing prompts, lower-cased, sorted."""
    from rv_edit.pocket import describe, judge, queries, scene, tables

    texts: list[str] = [*scene.KINDS, *scene.COLOURS, *scene.TEXTURES, *scene.SIZES, *scene.PLACES]
    texts += [*queries.ROWS, *queries.COUNTS, *queries.LIGHT_NAMES.values(), *describe.NOUNS, *judge.SIGHTING_FORMS]
    tables_of_words = (describe.SIZE_WORDS, describe.TEXTURE_WORDS, describe.COLOUR_WORDS, describe.SIDE_WORDS)
    for table in (*tables_of_words, describe.PLACE_WORDS, describe.LIGHT_WORDS):
        texts += [word for words in table.values() for word in words]
    texts += [word for words in describe.ROW_WORDS for word in words]
    texts += [template for pair in queries._WORDINGS.values() for group in pair for template in group]
    for relation in tables.RELATIONS.values():
        for group in (relation.values, relation.spare, relation.ask, relation.inverse, relation.clause, relation.fact):
            texts += group
    texts += STANDING
    joined = re.sub(r"\{\w+\}", " ", " ".join(texts)).lower()
    return tuple(sorted(set(re.findall(r"[a-z]+", joined))))
