"""Chains of error (paper 4.1, CoE-Gen): which of an edit's facts the VLM itself does not see or believe.

Every non-empty subset of the facts, in their order, is put to the VLM as a statement. A subset that it denies is
error-inducing; the union of those subsets is the chain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path
from typing import TYPE_CHECKING

from data_modules.records import Edit
from rv_edit.benchmark.asking import ask_each, decoded_batches, model_context
from rv_edit.benchmark.cache import ChunkCache, Row, digest
from rv_edit.benchmark.sharing import share
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.vlm import VLM, ImageFeatures, Prompt

STATEMENT = "Given the image, is the following statement correct? Statement: '{statement}'"
"""The question put to the VLM; ``{statement}`` is the subset's sentences, joined by blanks."""


@dataclass(frozen=True)
class Chain:
    """The error chain of one edit.

    Attributes:
        edit_id: whose.
        facts: indices of the error-inducing facts, in order; empty: the VLM denies nothing.
        subsets: the subsets put to the VLM, smallest first.
        p_no: the VLM's probability of "no" for each, from the softmax over yes and no; ``nan`` where the
            statement was too long for the model.
        truncated: not all subsets were asked, the edit having too many facts.
        problem: why nothing could be asked (the picture cannot be decoded), else ``None``.
    """

    edit_id: str
    facts: tuple[int, ...]
    subsets: tuple[tuple[int, ...], ...] = field(repr=False, default=())
    p_no: tuple[float, ...] = field(repr=False, default=())
    truncated: bool = False
    problem: str | None = None


def ordered_subsets(n: int) -> Iterator[tuple[int, ...]]:
    """The 2ⁿ−1 non-empty subsets of ``0 … n-1``, each in order, smallest first.

    >>> list(ordered_subsets(3))
    [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    """
    for size in range(1, n + 1):
        yield from combinations(range(n), size)


def error_chains(
    vlm: VLM,
    edits: Sequence[Edit],
    *,
    statement: str = STATEMENT,
    threshold: float = 0.5,
    max_subsets: int = 255,
    cache_dir: str | Path | None = None,
    batch_size: int = 32,
    chunk_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> list[Chain]:
    """The error chain of each edit, in their order; each picture is encoded once a chunk.

    Args:
        vlm: the unedited model.
        edits: whose reasoning is put to it.
        statement: the question, with ``{statement}`` in it.
        threshold: probability of "no" above which a subset counts as denied.
        max_subsets: most subsets asked an edit, smallest first, since their number doubles with each fact.
        cache_dir: folder that keeps the probabilities, as for :func:`rv_edit.benchmark.mine`.
        batch_size: statements asked, and pictures encoded, together.
        chunk_size: edits a cache file.
        progress: called after each chunk with edits done and edits in all.

    Raises:
        ConfigError: ``statement`` has no place for the statement.
    """
    if "{statement}" not in statement:
        raise ConfigError(f"error_chain.statement={statement!r}: it must contain {{statement}}")
    context = {"kind": "chains", **model_context(vlm)}
    cache = ChunkCache(None if cache_dir is None else Path(cache_dir) / "chains", context)
    parts = [
        _part(vlm, edits[start : start + chunk_size], statement, max_subsets)
        for start in range(0, len(edits), chunk_size)
    ]
    shared = share(
        range(len(parts)),
        find=lambda place: parts[place].fitting(cache.get(parts[place].items)),
        make=lambda place: _asked(vlm, parts[place], cache, batch_size),
        place=lambda place: cache.path(parts[place].items),
    )
    found: dict[int, list[Chain]] = {}
    for place, rows in shared:
        part = parts[place]
        found[place] = [
            _chain(edit, own, row, threshold) for edit, own, row in zip(part.edits, part.subsets, rows, strict=True)
        ]
        if progress is not None:
            progress(sum(map(len, found.values())), len(edits))
    return [chain for place in range(len(parts)) for chain in found[place]]


@dataclass(frozen=True)
class _Part:
    """Edits asked and kept together: their subsets, the statements as they are put, and what tells them from others."""

    edits: Sequence[Edit]
    subsets: list[tuple[tuple[int, ...], ...]]
    prompts: list[list[Prompt]]
    items: list[str]

    def fitting(self, rows: list[Row] | None) -> list[Row] | None:
        """Rows that were kept, where they fit."""
        return rows if rows is not None and all(map(_fits, rows, self.prompts)) else None


def _part(vlm: VLM, edits: Sequence[Edit], statement: str, max_subsets: int) -> _Part:
    subsets = [tuple(islice(ordered_subsets(len(edit.reasoning)), max_subsets)) for edit in edits]
    prompts = [
        [
            vlm.format_prompt(statement.replace("{statement}", " ".join(edit.reasoning[index] for index in subset)))
            for subset in own
        ]
        for edit, own in zip(edits, subsets, strict=True)
    ]
    items = [digest(edit.image.sha, [str(prompt) for prompt in own]) for edit, own in zip(edits, prompts, strict=True)]
    return _Part(edits, subsets, prompts, items)


def _asked(vlm: VLM, part: _Part, cache: ChunkCache, batch_size: int) -> list[Row]:
    """For each edit ``{"p_no": [… one a statement]}``, or ``{"unusable": reason}``; kept in the cache."""
    edits, prompts = part.edits, part.prompts
    rows: dict[int, Row] = {}
    for places, images, row_of in decoded_batches([edit.image for edit in edits], batch_size, rows):
        features = vlm.encode_images(images)
        asked = [(row, place, prompt) for place, row in zip(places, row_of, strict=True) for prompt in prompts[place]]

        def ask(
            batch: Sequence[int], features: ImageFeatures = features, asked: Sequence[tuple[int, int, Prompt]] = asked
        ) -> list[Row]:
            logp = vlm.yes_no(
                features.pick([asked[at][0] for at in batch]), [asked[at][2] for at in batch], batch_size=batch_size
            )
            return [{"p_no": value} for value in logp.float().softmax(dim=-1)[:, 1].tolist()]

        for place in places:
            rows[place] = {"p_no": []}
        for start in range(0, len(asked), batch_size):
            batch = list(range(start, min(start + batch_size, len(asked))))
            for at, answer in zip(batch, ask_each(ask, batch), strict=True):
                rows[asked[at][1]]["p_no"].append(answer.get("p_no", math.nan))
    made = [rows[place] for place in range(len(edits))]
    cache.put(part.items, made)
    return made


def _chain(edit: Edit, subsets: tuple[tuple[int, ...], ...], row: Row, threshold: float) -> Chain:
    if "unusable" in row:
        return Chain(edit.id, (), problem=str(row["unusable"]))
    p_no = tuple(float(value) for value in row["p_no"])
    denied = {index for subset, value in zip(subsets, p_no, strict=True) if value > threshold for index in subset}
    truncated = len(subsets) < 2 ** len(edit.reasoning) - 1
    return Chain(edit.id, tuple(sorted(denied)), subsets, p_no, truncated)


def _fits(row: Row, texts: Sequence[object]) -> bool:
    """Whether a row fits its statements: a reason, or a probability each."""
    p_no = row.get("p_no")
    return isinstance(row.get("unusable"), str) or (isinstance(p_no, list) and len(p_no) == len(texts))
