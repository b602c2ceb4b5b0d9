"""Which prompts pass the language model together.

Two bounds: a number of rows, and where ``VLM.batch_tokens`` is set a number of tokens. The second is what keeps memory
in check with models of real size: a token of a 7B Llama leaves half a megabyte of keys and values behind, so that 64
rows of 600 tokens are 19 GB. How prompts are batched changes results by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.vlm.base import VLM
    from rv_edit.vlm.features import ImageFeatures
    from rv_edit.vlm.prompts import Prompt


def plan(vlm: VLM, feats: ImageFeatures, prompts: Sequence[Prompt], batch_size: int) -> Iterator[list[int]]:
    """Batches of prompt indices: those over one picture together, else by length, so that little is padding.

    Raises:
        ConfigError: ``batch_size`` below 1.
    """
    groups: dict[int, list[int]] = {}
    for item, row in enumerate(feats.rows):
        groups.setdefault(id(row), []).append(item)
    for group in groups.values():
        group.sort(key=lambda item: len(prompts[item]))
    ordered = sorted(groups.values(), key=lambda group: len(prompts[group[-1]]))
    items = [item for group in ordered for item in group]
    for places in fitting(lengths(vlm, feats, prompts, items), batch_size, vlm.batch_tokens):
        yield [items[place] for place in places]


def lengths(vlm: VLM, feats: ImageFeatures, prompts: Sequence[Prompt], items: Sequence[int]) -> list[int]:
    """Tokens of each prompt with its picture, its place holder counted; zeros where no number of tokens bounds a batch.

    Tokenising twice costs microseconds a prompt, an estimate could miss the bound.
    """
    if vlm.batch_tokens is None:
        return [0] * len(items)
    encoded = vlm.prompts.encode([prompts[item] for item in items])
    return [vlm.picture_length(feats.rows[item]) + len(ids) for item, ids in zip(items, encoded, strict=True)]


def fitting(widths: Sequence[int], rows: int, tokens: int | None) -> Iterator[range]:
    """Cut a sequence into runs of at most ``rows``, which padded to their widest hold at most ``tokens``.

    A single one that is wider than ``tokens`` is a run by itself.

    Raises:
        ConfigError: ``rows`` below 1.

    >>> list(fitting([3, 3, 3, 9, 3], 2, None))
    [range(0, 2), range(2, 4), range(4, 5)]
    >>> list(fitting([3, 3, 3, 9, 3], 5, 9))
    [range(0, 3), range(3, 4), range(4, 5)]
    """
    if rows < 1:
        raise ConfigError(f"batch_size must be at least 1, not {rows}")
    start, widest = 0, 0
    for place, width in enumerate(widths):
        wider = max(widest, width)
        full = tokens is not None and (place - start + 1) * wider > tokens
        if place > start and (full or place - start == rows):
            yield range(start, place)
            start, wider = place, width
        widest = wider
    if start < len(widths):
        yield range(start, len(widths))
