"""Adam with cosine decay and early stopping, for the few numbers that one edit trains (paper D.3).

The caller gives the loss as a function of those numbers; what the loss does not depend on is computed before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rv_edit.editors.base import EditDivergedError
from rv_edit.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        lr: learning rate of the first step; it decays to 0 by a cosine over ``steps``.
        steps: the most steps.
        least_steps: the fewest.
        patience: steps without a fall of the loss after which it stops.
        fall: smallest fall of the loss that counts as one.
        eps: Adam's.

    Raises:
        ConfigError: out of range.
    """

    lr: float = 1e-2
    steps: int = 500
    least_steps: int = 100
    patience: int = 50
    fall: float = 1e-4
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.least_steps <= self.steps or self.patience < 1:
            raise ConfigError(
                f"editor.training: steps={self.steps}, least_steps={self.least_steps}, patience={self.patience}; "
                "give at least 1 step, 0 to as many least_steps, and a patience of 1"
            )
        if not (0 < self.lr < math.inf and 0 < self.eps < math.inf and 0 <= self.fall < math.inf):
            raise ConfigError(
                f"editor.training: lr={self.lr}, eps={self.eps}, fall={self.fall}; "
                "give a finite lr and eps above 0, and a fall of at least 0"
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0.

        >>> [round(Schedule(lr=1.0, steps=4, least_steps=0).rate(step), 3) for step in range(4)]
        [1.0, 0.854, 0.5, 0.146]
        """
        return 0.5 * self.lr * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True, eq=False)
class Trained:
    """What training found: the numbers of the lowest loss, that loss, and the steps it took."""

    value: Tensor
    loss: float
    steps: int


def train(start: Tensor, loss_of: Callable[[Tensor], Tensor], schedule: Schedule, what: str) -> Trained:
    """Minimise ``loss_of`` from ``start``; the numbers of the best loss come back, not those of the last step.

    Args:
        start: fp32, of any shape; left as it is.
        loss_of: a scalar with gradients to its argument.
        schedule: how long and how fast.
        what: what is trained, for the error, e.g. ``edit 7``.

    Raises:
        EditDivergedError: the loss or a number is nan or infinite.
    """
    with torch.inference_mode(False), torch.enable_grad():
        value = nn.Parameter(start.detach().clone())
        optimizer = torch.optim.Adam([value], lr=schedule.lr, eps=schedule.eps)
        best, best_loss, reference, since = value.detach().clone(), math.inf, math.inf, 0
        for step in range(schedule.steps + 1):
            # The last turn only looks at what the last step made.
            loss = loss_of(value)
            now = float(loss.detach())
            if not math.isfinite(now) or not bool(torch.isfinite(value).all()):
                why = f"{what}: training diverged at step {step} (loss {now}); nothing was changed; lower lr"
                raise EditDivergedError(why)
            if now < best_loss:
                best, best_loss = value.detach().clone(), now
            if now < reference - schedule.fall:
                reference, since = now, 0
            else:
                since += 1
            if step == schedule.steps or (step >= schedule.least_steps and since >= schedule.patience):
                return Trained(best, best_loss, step)
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            (value.grad,) = torch.autograd.grad(loss, value)
            optimizer.step()
    raise AssertionError("unreachable: the last turn returns")
