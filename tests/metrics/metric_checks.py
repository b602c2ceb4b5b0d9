"""What every torchmetric of ours must do, in one process and on two ranks."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torchmetrics import Metric

Batch = tuple[Any, ...]
Reference = Callable[[Sequence[Batch]], dict[str, float]]


def as_numbers(computed: Any) -> dict[str, float]:
    """A computed value as plain numbers by name."""
    values = computed if isinstance(computed, dict) else {"": computed}
    return {name: float(value) for name, value in values.items()}


def same(found: Any, expected: dict[str, float]) -> None:
    assert as_numbers(found) == pytest.approx(expected, nan_ok=True, abs=1e-6)


def check_metric(make: Callable[[], Metric], batches: Sequence[Batch], reference: Reference) -> None:
    """Constants, copies, state dict, forward, accumulation, merging and reset, against ``reference``."""
    metric = make()
    for name in ("is_differentiable", "higher_is_better", "full_state_update"):
        with pytest.raises(RuntimeError, match="Can't change const"):
            setattr(metric, name, True)
    assert metric.state_dict() == {}
    for batch in batches:
        same(metric(*batch), reference([batch]))
    same(metric.compute(), reference(batches))
    for twin in (metric.clone(), pickle.loads(pickle.dumps(metric))):
        same(twin.compute(), reference(batches))
        assert hash(twin) != hash(make())
    updated = make()
    for batch in batches:
        updated.update(*batch)
    same(updated.compute(), reference(batches))
    updated.reset()
    updated.update(*batches[0])
    same(updated.compute(), reference(batches[:1]))
    merged = make()
    merged.update(*batches[0])
    for batch in batches[1:]:
        other = make()
        other.update(*batch)
        merged.merge_state(other)
    same(merged.compute(), reference(batches))
    with pytest.warns(UserWarning, match="was called before the"):
        assert all(value != value or value == 0 for value in as_numbers(make().compute()).values())


def shard(rank: int, world_size: int, make: Callable[[], Metric], batches: Sequence[Batch]) -> dict[str, float]:
    """One rank's part: every ``world_size``-th batch; the rank returns what it computes after the exchange."""
    torch.manual_seed(rank)
    metric = make()
    for batch in batches[rank::world_size]:
        metric.update(*batch)
    first = as_numbers(metric.compute())
    metric.reset()
    for batch in batches[rank::world_size]:
        metric.update(*batch)
    assert as_numbers(metric.compute()) == pytest.approx(first, nan_ok=True)  # reset works after an exchange
    return first
