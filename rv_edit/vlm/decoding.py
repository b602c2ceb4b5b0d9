"""Forward passes of the language model in pieces that share what they have in common.

A :class:`Context` is what has been read so far: keys and values, padding, positions. Reading on makes it longer;
``select`` makes another with rows repeated or dropped and leaves the first intact. Positions are always explicit,
so nothing depends on state that a model keeps from an earlier picture.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rv_edit.vlm.sequences import Batch, Prefix, common_prefix

if TYPE_CHECKING:
    from rv_edit.vlm.base import VLM
    from rv_edit.vlm.features import ImageFeatures
    from rv_edit.vlm.prompts import Prompt

PHASES = ("shared", "prefill", "continue", "train")


@dataclass(frozen=True, eq=False)
class HookContext:
    """What the running forward pass of the language model is about, for hooks that change it.

    Attributes:
        phase: ``shared`` (a beginning that several prompts have in common), ``prefill`` (the rest of each prompt,
            its last token in the last column), ``continue`` (answer tokens) or ``train`` (prompt and target at once).
        mask: (B, L) bool, the real positions of this pass.
        prompt_mask: (B, L) bool, those that belong to the prompt.
        row_to_item: For each row, the index of its prompt in the call (in ``shared``: of the first one).
        row_to_shared: In ``prefill``, for each row, the row of the ``shared`` pass just before that holds its
            beginning; empty where nothing was shared.
    """

    phase: str
    mask: Tensor
    prompt_mask: Tensor
    row_to_item: tuple[int, ...]
    row_to_shared: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Context:
    """What the language model has read: its ``cache``, ``mask`` (B, S) bool and ``next_pos`` per row."""

    cache: Any
    mask: Tensor
    next_pos: tuple[int, ...]

    def select(self, rows: Sequence[int], next_pos: Sequence[int] | None = None) -> Context:
        """A context of these rows, repeats allowed; this one stays as it is."""
        index = torch.as_tensor(list(rows), device=self.mask.device)
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        if list(rows) != list(range(len(self.mask))):
            for layer in cache.layers:  # each on the device of its decoder layer
                layer.batch_select_indices(index if layer.keys is None else index.to(layer.keys.device))
        return Context(cache, self.mask[index], tuple(next_pos or [self.next_pos[row] for row in rows]))


def run(
    vlm: VLM,
    batch: Batch,
    phase: str,
    row_to_item: Sequence[int],
    *,
    past: Context | None = None,
    keep: bool = False,
    prompt_mask: Tensor | None = None,
    row_to_shared: Sequence[int] = (),
) -> tuple[Tensor, Any]:
    """One pass of the language model's backbone, without its head.

    ``past`` is read on from, and spent by it: select from a context to use it again.

    Returns:
        Hidden states (B, L, d) after the final norm, and the cache (``None`` unless ``keep`` or ``past``).
    """
    mask = batch.mask if past is None else torch.cat([past.mask, batch.mask], dim=1)
    cache = past.cache if past is not None else vlm.new_cache() if keep else None
    if prompt_mask is None:
        prompt_mask = torch.zeros_like(batch.mask) if phase == "continue" else batch.mask
    about = HookContext(phase, batch.mask, prompt_mask, tuple(row_to_item), tuple(row_to_shared))
    outer, vlm.hook_context = vlm.hook_context, about
    try:
        output = vlm.decoder(
            inputs_embeds=batch.embeds,
            attention_mask=mask.long(),
            position_ids=batch.pos,
            past_key_values=cache,
            use_cache=cache is not None,
            **vlm.lm_inputs(batch.extra),
        )
    finally:
        vlm.hook_context = outer
    hidden: Tensor = output.last_hidden_state
    return hidden, cache


def read(
    vlm: VLM, feats: ImageFeatures, prompts: Sequence[Prompt], items: Sequence[int], *, share: bool, keep: bool
) -> tuple[Tensor, Context | None]:
    """Read some prompts, each over its picture; what prompts over one picture begin with is read once.

    Args:
        vlm: The model.
        feats: One row a prompt of the whole call.
        prompts: All prompts of the call.
        items: Which of them to read now.
        share: Whether to share beginnings.
        keep: Whether answers will be read on from here.

    Returns:
        Hidden states (B, d) at each prompt's last token, and the context behind them if ``keep``.
    """
    rows = vlm.prefix(feats.pick(items), [prompts[item] for item in items])
    # Prompts that differ from the first position on, as where the picture's tokens depend on them, share nothing.
    starts = [(id(feats.rows[item]), row.keys[0]) for item, row in zip(items, rows, strict=True)]
    heads = _heads(rows, starts) if share else None
    next_pos = tuple(row.next_pos for row in rows)
    past: Context | None = None
    owner: list[int] = []
    if heads is not None:
        cuts, owner = heads
        firsts = [owner.index(group) for group in range(len(cuts))]
        batch = Batch.of([rows[first].slice(0, cut) for first, cut in zip(firsts, cuts, strict=True)], "left")
        _, cache = run(vlm, batch, "shared", [items[first] for first in firsts], keep=True)
        past = Context(cache, batch.mask, (0,) * len(cuts)).select(owner, next_pos)
        del cache  # else the shared part would be held twice while the rest is read
        rows = [row.slice(cuts[group]) for row, group in zip(rows, owner, strict=True)]
    batch = Batch.of(rows, "left")
    hidden, cache = run(vlm, batch, "prefill", items, past=past, keep=keep, row_to_shared=owner)
    if not keep:
        return hidden[:, -1], None
    mask = batch.mask if past is None else torch.cat([past.mask, batch.mask], dim=1)
    return hidden[:, -1], Context(cache, mask, next_pos)


def text_batch(vlm: VLM, ids: Sequence[Sequence[int]], past: Context) -> Batch:
    """Answer tokens behind a context, padded on the right."""
    rows = []
    for tokens, start in zip(ids, past.next_pos, strict=True):
        embeds = vlm.embed_tokens(tokens)
        steps = torch.arange(start, start + len(tokens), device=embeds.device)
        rows.append(Prefix(tuple(tokens), embeds, steps.expand(*vlm.position_axes, len(tokens)), start + len(tokens)))
    return Batch.of(rows, "right")


def _heads(rows: Sequence[Prefix], starts: Sequence[Hashable]) -> tuple[list[int], list[int]] | None:
    """Common beginnings: their lengths, and for each row which one it has; ``None`` where sharing gains nothing.

    ``starts`` are equal for rows over one picture that have at least their first position in common.
    """
    order = list(dict.fromkeys(starts))
    if len(order) == len(rows):
        return None
    owner = [order.index(start) for start in starts]
    groups = [[row for row, mine in zip(rows, owner, strict=True) if mine == group] for group in range(len(order))]
    # The last token stays behind: its hidden state is what the answers are scored with.
    cuts = [min(common_prefix([row.keys for row in group]), min(map(len, group)) - 1) for group in groups]
    longest = max(cut for cut, group in zip(cuts, groups, strict=True) if len(group) > 1)
    cuts = [min(cut, longest) for cut in cuts]  # a start that occurs once need not widen the batch
    return (cuts, owner) if min(cuts) > 0 else None
