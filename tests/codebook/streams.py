"""Streams of made-up edits with much merging and some supersession, and a slow codebook to compare with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from scipy.integrate import quad

from rv_edit.codebook import Codebook

DIM = 3


@dataclass(frozen=True)
class Made:
    """The arguments of one insertion."""

    edit_id: str
    keys: torch.Tensor
    values: list[str]
    radii: list[float]
    kinds: list[str]
    provenance: list[dict[str, Any]] = field(default_factory=list)


def put(book: Codebook, edit: Made):
    return book.insert(edit.edit_id, edit.keys, edit.values, edit.radii, edit.kinds, edit.provenance or None)


def answer_sentence(question: str, answer: str) -> str:
    return f"The answer to question {question} about the image is {answer}."


@st.composite
def edit_streams(draw, max_edits: int = 12) -> list[Made]:
    """Keys near few sites, so that they merge; few pictures and questions, so that answers supersede."""
    stream = []
    for number in range(draw(st.integers(1, max_edits))):
        rng = np.random.default_rng(draw(st.integers(0, 9999)))
        facts = draw(st.integers(0, 3))
        sites = rng.integers(0, 4, facts + 1)
        keys = np.stack([np.eye(DIM + 1)[site, :DIM] for site in sites]) + rng.normal(0, 0.03, (facts + 1, DIM))
        image, question = f"image{rng.integers(3)}", f"What is {rng.integers(2)}?"
        answer = f"answer {rng.integers(2)}"
        stream.append(
            Made(
                f"edit {number}",
                torch.tensor(keys, dtype=torch.float32),
                [answer_sentence(question, answer)] + [f"Fact {rng.integers(8)} holds." for _ in range(facts)],
                rng.choice([0.0, 0.2, 0.5, 1.0], facts + 1).tolist(),
                ["answer"] + ["reasoning"] * facts,
                [{"image": image, "question": question, "answer": answer}] + [{"fact": i} for i in range(facts)],
            )
        )
    return stream


def random_book(n: int, dim: int = 16, seed: int = 0, **options: Any) -> Codebook:
    """n keys in general position, two an edit."""
    options = {"merge": "off", **options}
    book, generator = Codebook(dim, **options), torch.Generator().manual_seed(seed)
    for number in range(n // 2):
        keys = torch.randn(2, dim, generator=generator) * (1 + number % 5)
        sentences = [f"Fact {number}a.", f"Fact {number}b."]
        book.insert(f"e{number}", keys, sentences, [0.5, 0.5], ["answer", "reasoning"])
    return book


def lens_by_integration(d: float, r1: float, r2: float) -> float:
    """Area of the intersection of two discs, by adding up its height along the line of centres."""

    def height(x: float) -> float:
        first, second = r1 * r1 - x * x, r2 * r2 - (x - d) ** 2
        return 2 * min(max(first, 0.0), max(second, 0.0)) ** 0.5

    low, high = max(-r1, d - r2), min(r1, d + r2)
    return quad(height, low, high, limit=200)[0] if high > low else 0.0


class SlowCodebook:
    """Merging and supersession in plain Python, one number at a time, in double precision throughout."""

    def __init__(self, merge: str, overlap: float = 0.9, closeness: float = 0.1, room: int = 5) -> None:
        self.merge, self.overlap, self.closeness, self.room = merge, overlap, closeness, room
        self.groups: list[dict[str, Any]] = []

    def insert(self, edit: Made) -> None:
        sources = edit.provenance or [{} for _ in edit.values]
        for key, text, radius, kind, source in zip(
            edit.keys.half().double().numpy(), edit.values, edit.radii, edit.kinds, sources, strict=True
        ):
            member = {"key": key, "text": text, "live": True, "source": source if kind == "answer" else {}}
            self._supersede(member)
            self._place(member, radius)

    def _supersede(self, new: dict[str, Any]) -> None:
        for group in self.groups:
            for old in group["members"]:
                same = all(old["source"].get(name, 0) == new["source"].get(name, 1) for name in ("image", "question"))
                if same and old["source"]["answer"] != new["source"]["answer"]:
                    old["live"] = False
        self.groups = [group for group in self.groups if self.values(group)]

    def _place(self, new: dict[str, Any], r: float) -> None:
        best = None
        for group in self.groups:
            d, s = float(np.sqrt(sum((group["key"] - new["key"]) ** 2))), group["radius"]
            if self.merge == "off" or min(r, s) == 0:
                continue
            lens = lens_by_integration(d, r, s)
            overlapping = min(lens / (np.pi * r * r), lens / (np.pi * s * s)) > self.overlap
            close = d < self.closeness * r and d < self.closeness * s
            merges = (overlapping and close) if self.merge == "both" else (overlapping or close)
            room = new["text"] in self.values(group) or len(self.values(group)) < self.room
            if merges and room and (best is None or d < best[0]):
                best = d, group
        if best is None:
            self.groups.append({"key": new["key"], "radius": r, "members": [new]})
            return
        best[1]["members"].append(new)
        mean = sum(member["key"] for member in best[1]["members"]) / len(best[1]["members"])
        best[1]["key"] = mean.astype(np.float16).astype(np.float64)

    @staticmethod
    def values(group: dict[str, Any]) -> list[str]:
        return list(dict.fromkeys(member["text"] for member in group["members"] if member["live"]))


def plain_stream() -> Codebook:
    """A codebook made and calibrated without any draw: merges, and a histogram for its pairs."""
    book = Codebook(5, {"model": "m", "layer": 1}, exact_keys=8)
    for edit in range(14):
        keys = torch.tensor([[(edit * 7 + row * 3 + place * place) % 11 / 4 for place in range(5)] for row in range(4)])
        about = {"image": f"i{edit % 5}", "question": f"What is {edit % 3}?"}
        sentences = [f"Fact {edit % 9}.{row}." for row in range(4)]
        book.insert(f"e{edit}", keys, sentences, [0.5, 0.25, 1.5, 0.0], ["answer", *["reasoning"] * 3], [about] * 4)
    book.calibrate(torch.arange(20).view(4, 5) / 3.0, 0.3)
    return book
