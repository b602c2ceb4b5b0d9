"""Gradient descent as every editor of the paper is trained: Adam, cosine decay, early stopping (paper D.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rv_edit.errors import ConfigError


class DivergedError(RuntimeError):
    """The loss or a weight is no longer a finite number; one line says where."""


@dataclass(frozen=True)
class Descending:
    """How to descend.

    Attributes:
        lr: learning rate of the first step; it falls to 0 along a cosine over ``steps``.
        steps: most steps (paper D.3: 500).
        least_steps: fewest steps (paper D.3: 100).
        patience: steps without a fall of the loss after which it ends (paper D.3: 50).
        fall: smallest fall of the loss below the lowest so far that counts as one.

    Raises:
        ConfigError: a value out of range.
    """

    lr: float
    steps: int = 500
    least_steps: int = 100
    patience: int = 50
    fall: float = 1e-4

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ConfigError(f"editor.training.lr={self.lr}: give a number above 0")
        if self.steps < 1 or self.patience < 1:
            raise ConfigError(f"editor.training: steps={self.steps}, patience={self.patience}; both at least 1")
        if not 0 <= self.least_steps <= self.steps:
            raise ConfigError(f"editor.training.least_steps={self.least_steps}: give 0 to steps={self.steps}")
        if not self.fall >= 0:
            raise ConfigError(f"editor.training.fall={self.fall}: give a number of at least 0")


@dataclass(frozen=True)
class Descent:
    """How it went: ``steps`` made, the loss ``before`` the first, and the lowest ``after`` all, which was kept."""

    steps: int
    before: float
    after: float

    def __str__(self) -> str:
        """For a receipt."""
        return f"{self.steps} steps, loss {self.before:.3g} to {self.after:.3g}"


def descend(parameters: Sequence[Tensor], loss: Callable[[], Tensor], how: Descending) -> Descent:
    """Change ``parameters`` in place to those with the lowest loss on the way.

    Args:
        parameters: leaves that require gradients.
        loss: a scalar of them.
        how: the schedule.

    Raises:
        DivergedError: the loss is not finite at some step; the parameters are then left wherever they are.
    """
    fused = parameters[0].device.type in ("cpu", "cuda")  # elsewhere torch may not have it; the maths are the same
    optimizer = torch.optim.Adam(parameters, lr=how.lr, fused=fused)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=how.steps)
    kept = [parameter.detach().clone() for parameter in parameters]
    first = lowest = float("nan")
    waited = 0
    for step in range(how.steps + 1):
        value = loss()
        number = float(value.detach())
        if not math.isfinite(number):
            raise DivergedError(f"the loss is {number} at step {step}")
        if step == 0:
            first = lowest = number
        elif number < lowest - how.fall:
            lowest, waited = number, 0
            torch._foreach_copy_(kept, [parameter.detach() for parameter in parameters])
        else:
            waited += 1
        if step == how.steps or (waited >= how.patience and step >= how.least_steps):
            break
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        torch._foreach_copy_(list(parameters), kept)
    return Descent(step, first, lowest)
