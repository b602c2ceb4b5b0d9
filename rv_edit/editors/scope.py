"""Which questions an entry answers, decided once each while the model reads them, and what it changes for those.

The hooks sit on the final feed-forward block. While a prompt is read (``prefill``) the state that enters the block
gives the question's key; its nearest entry is looked up then and there, for a whole batch at once. That decision holds
for every later pass on the same question: at the prompt's last position and at all answer positions, since only there
does the block's output reach a score. A question out of scope is not touched, so its scores are the unedited model's,
bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rv_edit.editors.answering import Context
from rv_edit.vlm.features import pool_tokens

if TYPE_CHECKING:
    from rv_edit.editors.entry_memory import EntryMemory
    from rv_edit.vlm import VLM
    from rv_edit.vlm.decoding import HookContext

Change = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Inputs (P, i) and outputs (P, o) of a module at P positions, and the entries' values (P, width) -> new outputs."""


class ScopeHooks:
    """Opens the edited model around a call of ``vlm.score``, ``vlm.generate`` or ``vlm.nll``.

    Args:
        vlm: the frozen model.
        memory: the entries; there must be one.
        pooling: ``last | mean``, what a question's key is; see :mod:`rv_edit.editors.target_reading`.
        module: whose output is changed: the final feed-forward block, or a layer inside it.
        change: how.
    """

    def __init__(self, vlm: VLM, memory: EntryMemory, pooling: str, module: nn.Module, change: Change) -> None:
        self._vlm, self._memory, self._pooling = vlm, memory, pooling
        self._module, self._change = module, change
        self._decided: dict[int, Context] = {}
        self._entries: dict[int, int] = {}
        self._shared = torch.empty(0), torch.empty(0)
        self._where: tuple[Tensor, Tensor, Tensor] | None = None

    @contextmanager
    def __call__(self) -> Iterator[Mapping[int, Context]]:
        """While open, questions in scope are answered by their entries; yields what was decided, by prompt."""
        self._decided, self._entries, self._where = {}, {}, None
        handles = [
            self._vlm.final_mlp().register_forward_pre_hook(self._enter),
            self._module.register_forward_hook(self._leave),
        ]
        try:
            yield self._decided
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, _block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        about = self._vlm.hook_context
        assert about is not None, "the language model runs outside of a call that says what it is about"
        self._where = None
        if about.phase == "shared":
            if self._pooling == "mean":
                self._shared = _sums(inputs[0], about.mask)
            return
        where = about.mask & ~about.prompt_mask
        if about.phase != "continue":
            self._decide(inputs[0], about)
            steps = torch.arange(where.shape[1], device=where.device)
            last = torch.where(about.prompt_mask, steps, -1).amax(dim=1)
            where = where | (steps == last[:, None])
        entries = torch.tensor([self._entries.get(item, -1) for item in about.row_to_item], device=where.device)
        rows, columns = (where & (entries >= 0)[:, None]).nonzero(as_tuple=True)
        if len(rows):
            self._where = rows, columns, entries[rows]

    def _leave(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if self._where is None:
            return None
        rows, columns, entries = self._where
        values = self._memory.values[entries.to(self._memory.values.device)].to(output.device)
        changed = output.clone()
        changed[rows, columns] = self._change(inputs[0][rows, columns], output[rows, columns], values).to(output.dtype)
        return changed

    def _decide(self, entering: Tensor, about: HookContext) -> None:
        """Look up every question of the pass; one that was looked up before keeps its decision."""
        found = self._memory.find(self._queries(entering, about))
        looked_up = zip(
            about.row_to_item,
            found.index.tolist(),
            found.distance.tolist(),
            found.reaches.tolist(),
            found.accepted.tolist(),
            strict=True,
        )
        for item, entry, distance, reaches, accepted in looked_up:
            if item in self._decided:
                continue
            self._decided[item] = Context((), (distance,), accepted, reaches)
            if accepted:
                self._entries[item] = entry

    def _queries(self, entering: Tensor, about: HookContext) -> Tensor:
        """(B, d) fp32 keys of the prompts of a pass."""
        if self._pooling == "last":
            return pool_tokens(entering, "last", about.prompt_mask)
        total, count = _sums(entering, about.prompt_mask)
        if about.row_to_shared:
            owner = list(about.row_to_shared)
            total, count = total + self._shared[0][owner], count + self._shared[1][owner]
        return total / count


def _sums(hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, d) fp32 sums over the real positions, and their number (B, 1)."""
    total = torch.where(mask.unsqueeze(-1), hidden.float(), 0.0).sum(dim=1)
    return total, mask.sum(dim=1, keepdim=True).float()
