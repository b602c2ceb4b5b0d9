"""How long the similar half of the locality set takes: the inverted index against all pairs, and that both agree.

    python benchmarks/locality_index.py [--pool 18000] [--edits 200] [--questions aokvqa_v1p0_val.json]

Without ``--questions`` the questions are made up: word counts and a vocabulary like those of A-OKVQA's (drawn by Zipf's
law, which is what decides how long the lists of an index get). With it, real ones are drawn from the file; where the
pool is larger than the file, a number is added to each further copy, so that none is the same.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from data_modules.text import words
from rv_edit.benchmark.locality import WordOverlap

TOP = 3


def made_up(count: int, seed: int = 0) -> list[str]:
    """Questions of 4 to 14 words from a vocabulary of 4,000."""
    draw = np.random.default_rng(seed)
    chances = 1 / np.arange(1, 4001) ** 1.05
    chances /= chances.sum()
    return [
        " ".join(f"w{word}" for word in draw.choice(4000, size=draw.integers(4, 15), p=chances)) for _ in range(count)
    ]


def from_file(path: Path, count: int) -> list[str]:
    """Questions of an A-OKVQA file, with numbers where there are not enough."""
    found = [row["question"] for row in json.loads(path.read_text())]
    return [found[place % len(found)] + (f" {place}" if place >= len(found) else "") for place in range(count)]


def all_pairs(pool: list[str], edits: list[str]) -> list[list[int]]:
    """The best by comparing every edit with every question."""
    sets = [set(words(text)) for text in pool]
    best = []
    for text in edits:
        own = set(words(text))
        scores = [len(own & other) / (len(own | other) or 1) for other in sets]
        ranked = sorted(range(len(sets)), key=lambda place: (-scores[place], place))[:TOP]
        best.append([place for place in ranked if scores[place] > 0])
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", type=int, default=18_000, help="questions to choose from")
    parser.add_argument("--edits", type=int, default=200, help="edits, each of which gives its best three")
    parser.add_argument("--questions", type=Path, help="an A-OKVQA annotation file to draw them from")
    given = parser.parse_args()
    count = given.pool + given.edits
    texts = made_up(count) if given.questions is None else from_file(given.questions, count)
    texts = [texts[place] for place in np.random.default_rng(1).permutation(count)]
    pool, edits = texts[: given.pool], texts[given.pool :]

    started = time.perf_counter()
    index = WordOverlap(pool)
    built = time.perf_counter() - started
    found = [index.top(text, TOP) for text in edits]
    indexed = time.perf_counter() - started
    started = time.perf_counter()
    expected = all_pairs(pool, edits)
    paired = time.perf_counter() - started
    assert found == expected, "the index and all pairs disagree"
    source = "made up" if given.questions is None else given.questions.name
    print(f"{given.edits} edits, pool of {given.pool} questions ({source}), the best {TOP} of each, equal in both")
    print(f"inverted index  {indexed:8.2f} s   ({built:.2f} s of it to build)")
    print(f"all pairs       {paired:8.2f} s   {paired / indexed:.1f} times as long")


if __name__ == "__main__":
    main()
