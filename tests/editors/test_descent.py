"""The descent of all weight editors: cosine, patience, the best weights kept, a loss that is no number."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rv_edit.editors.descent import Descending, DivergedError, descend
from rv_edit.errors import ConfigError


def scripted(values: list[float], weight: Tensor) -> tuple[Callable[[], Tensor], list[float]]:
    """A loss that takes these values one after the other, with a gradient of 1, and the weights it was asked at."""
    seen: list[float] = []

    def loss() -> Tensor:
        seen.append(float(weight.detach()))
        return weight.sum() * 1.0 + (values[min(len(seen), len(values)) - 1] - weight.sum().detach())

    return loss, seen


def test_learning_rate_falls_along_a_cosine() -> None:
    weight = torch.zeros(1, requires_grad=True)
    loss, seen = scripted([-float(step) for step in range(11)], weight)
    descend([weight], loss, Descending(lr=0.1, steps=10, least_steps=0))
    moved = [before - after for before, after in zip(seen, seen[1:], strict=False)]
    # with a constant gradient Adam's step is the learning rate itself
    expected = [0.1 * 0.5 * (1 + math.cos(math.pi * step / 10)) for step in range(10)]
    assert moved == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("falls", "least", "steps"),
    [(0, 0, 50), (7, 0, 57), (100, 0, 150), (7, 100, 100), (470, 0, 500), (10_000, 0, 500)],
)
def test_it_ends_after_fifty_steps_without_a_fall(falls: int, least: int, steps: int) -> None:
    weight = torch.zeros(1, requires_grad=True)
    loss, _ = scripted([5.0 - 1e-3 * min(step, falls) for step in range(501)], weight)
    done = descend([weight], loss, Descending(lr=1e-3, steps=500, least_steps=least, patience=50, fall=1e-4))
    assert done.steps == steps
    assert done.before == pytest.approx(5.0) and done.after == pytest.approx(5.0 - 1e-3 * min(falls, 500))


def test_falls_too_small_do_not_count() -> None:
    weight = torch.zeros(1, requires_grad=True)
    loss, _ = scripted([5.0 - 1e-6 * step for step in range(501)], weight)
    assert descend([weight], loss, Descending(lr=1e-3, least_steps=0, fall=1e-4)).steps == 50
    loss, _ = scripted([5.0 - 3e-6 * step for step in range(501)], weight)
    assert descend([weight], loss, Descending(lr=1e-3, least_steps=0, fall=1e-4)).steps == 500  # one in 34 steps


def test_the_best_weights_are_kept() -> None:
    weight = torch.zeros(1, requires_grad=True)
    loss, seen = scripted([3.0, 2.0, 1.0, 4.0, 5.0, 6.0, 7.0], weight)
    done = descend([weight], loss, Descending(lr=0.1, steps=6, least_steps=0))
    assert weight.item() == seen[2] and done.after == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_named_with_its_step(bad: float) -> None:
    weight = torch.zeros(1, requires_grad=True)
    loss, _ = scripted([3.0, 2.0, bad], weight)
    with pytest.raises(DivergedError, match="at step 2"):
        descend([weight], loss, Descending(lr=0.1))


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": 1.0, "steps": 0},
        {"lr": 1.0, "patience": 0},
        {"lr": 1.0, "least_steps": 501},
        {"lr": 1.0, "fall": -1.0},
    ],
)
def test_options_are_checked(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"editor\.training"):
        Descending(**options)  # type: ignore[arg-type]
