"""One optimizer out of two: Muon for the matrices of the blocks, AdamW for everything else.

Muon (Jordan et al. 2024) reaches a given loss in about half of AdamW's steps on models of this size; it is made for
hidden matrices only. Lightning's automatic optimisation wants a single optimizer, hence the pair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

Group = tuple[Iterable[nn.Parameter], float]


class MuonAdamW(torch.optim.Optimizer):
    """Steps both; the groups of both are its groups, so schedules and clipping see all parameters.

    Args:
        blocks: groups of two-dimensional hidden weights, with the share of ``lr`` that each gets.
        rest: groups of embeddings, heads, norms and biases, likewise.
        lr: of both (Muon's update is scaled to AdamW's size).
        weight_decay: of both.
    """

    def __init__(self, blocks: Iterable[Group], rest: Iterable[Group], lr: float, weight_decay: float = 0.01) -> None:
        groups = [[{"params": list(some), "lr": lr * share} for some, share in one] for one in (blocks, rest)]
        self.muon = torch.optim.Muon(groups[0], lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        self.adamw = torch.optim.AdamW(groups[1], lr=lr, betas=(0.9, 0.98), weight_decay=weight_decay)
        super().__init__([*self.muon.param_groups, *self.adamw.param_groups], {})
        self._share()

    def _share(self) -> None:
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]
        self.state = defaultdict(dict)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure, then step both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.muon.step()
        self.adamw.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore both."""
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        self._share()
