"""Adam, cosine and early stopping against a bare loop."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rv_edit.editors.base import EditDivergedError
from rv_edit.editors.value_training import Schedule, train
from rv_edit.errors import ConfigError

GOAL = torch.tensor([1.0, -2.0, 0.5])


def bowl(value: Tensor) -> Tensor:
    return ((value - GOAL) ** 2).sum()


def test_it_is_adam_with_cosine_decay() -> None:
    schedule = Schedule(lr=0.3, steps=7, least_steps=7)
    found = train(torch.zeros(3), bowl, schedule, "edit")
    weight = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7)
    losses, values = [], []
    for _ in range(8):
        losses.append(float(bowl(weight)))
        values.append(weight.detach().clone())
        optimizer.zero_grad()
        bowl(weight).backward()
        optimizer.step()
        cosine.step()
    best = losses.index(min(losses))
    assert found.steps == 7 and found.loss == pytest.approx(losses[best])
    assert torch.allclose(found.value, values[best], atol=1e-6)


def test_the_best_value_comes_back_not_the_last() -> None:
    seen: list[float] = []

    def jumpy(value: Tensor) -> Tensor:
        loss = bowl(value) + (100.0 if len(seen) > 3 else 0.0)
        seen.append(float(loss))
        return loss

    found = train(torch.zeros(3), jumpy, Schedule(lr=0.5, steps=10, least_steps=0, patience=20), "edit")
    assert found.loss == min(seen) < seen[-1] and float(bowl(found.value)) == pytest.approx(found.loss)


@pytest.mark.parametrize(("least", "expected"), [(0, 5), (8, 8)])
def test_it_stops_without_progress_but_not_before_the_least_steps(least: int, expected: int) -> None:
    flat = Schedule(lr=1e-9, steps=50, least_steps=least, patience=5, fall=1e-4)
    assert train(torch.zeros(3), bowl, flat, "edit").steps == expected
    falling = Schedule(lr=0.1, steps=12, least_steps=least, patience=5, fall=1e-4)
    assert train(torch.zeros(3), bowl, falling, "edit").steps == 12


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_is_one_line_that_names_the_edit(bad: float) -> None:
    def breaks(value: Tensor) -> Tensor:
        return bowl(value) * (bad if float(value.abs().max()) > 0 else 1.0)

    with pytest.raises(EditDivergedError, match=r"edit 7: training diverged at step 1") as caught:
        train(torch.zeros(3), breaks, Schedule(), "edit 7")
    assert "\n" not in str(caught.value)


def test_nothing_given_is_changed_and_inference_mode_does_not_matter() -> None:
    start = torch.zeros(3)
    with torch.inference_mode():
        inside = train(start, bowl, Schedule(lr=0.1, steps=5, least_steps=0), "edit")
    outside = train(start, bowl, Schedule(lr=0.1, steps=5, least_steps=0), "edit")
    assert torch.equal(inside.value, outside.value) and not start.any() and not inside.value.is_inference()


@pytest.mark.parametrize(
    "options",
    [{"lr": 0.0}, {"lr": math.nan}, {"steps": 0}, {"least_steps": 9, "steps": 8}, {"patience": 0}, {"fall": -1}],
)
def test_options_are_checked(options: dict) -> None:
    with pytest.raises(ConfigError, match=r"editor\.training"):
        Schedule(**options)
