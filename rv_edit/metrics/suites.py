"""All suites in one torchmetric: means, intervals over edits and accept rates, exact under uneven shards."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from data_modules.records import SUITES
from rv_edit.metrics.functional import OWN_CLUSTER, estimate, share


def edit_number(edit_id: str | None) -> int:
    """An edit's id as a whole number that ranks can exchange (63 bits of its SHA-256)."""
    if edit_id is None:
        return OWN_CLUSTER
    return int.from_bytes(hashlib.sha256(edit_id.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


class EditMetrics(Metric):
    r"""The metrics of the paper (4.1) and the diagnostic suites, with intervals and accept rates.

    The headline of a suite is the mean over its questions; its interval resamples edits (Loc, whose questions are
    no edit's own: Wilson's over questions), see :func:`rv_edit.metrics.functional.estimate`.

    As input to ``update``, for n questions of any suites:

    - ``suites``: (n,) names.
    - ``edit_ids``: (n,) the edit a question belongs to, or ``None``.
    - ``correct``: (n,) booleans. Loc counts as correct what the *unedited* model answered: its questions are
      those which that model has right, so the right answer is the pre-edit prediction.
    - ``accepted`` (optional): (n,) whether retrieval was accepted, ``None`` for editors that retrieve nothing.

    As output of ``compute``: ``{"acc": …, "acc/low": …, "acc/high": …, "acc/n": …, "acc/accept": …, …}`` for every
    suite, fp64 scalars (fp32 on devices without); ``nan`` where nothing was asked, which means missing, not 0.
    :func:`summary` and :func:`accept_rates` turn it into what results are written as.

    Args:
        names: the suites, in the order of reports.
        independent: suites whose questions are independent of each other.
        level: mass of the intervals.
        resamples: bootstrap samples.
        seed: of the bootstrap.
        kwargs: of :class:`torchmetrics.Metric`.

    >>> metric = EditMetrics()
    >>> metric.update(["acc", "loc", "loc"], ["e1", None, None], [True, True, False], [True, False, None])
    >>> found = metric.compute()
    >>> found["acc"].item(), found["loc"].item(), found["loc/accept"].item(), found["t_gen"].item()
    (1.0, 0.5, 0.0, nan)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    correct: Tensor
    total: Tensor
    accepted: Tensor
    gated: Tensor
    rows: list[Tensor]

    def __init__(
        self,
        names: Sequence[str] = SUITES,
        independent: Sequence[str] = ("loc",),
        level: float = 0.95,
        resamples: int = 10_000,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.names, self.independent = tuple(names), frozenset(independent)
        self.level, self.resamples, self.seed = level, resamples, seed
        for state in ("correct", "total", "accepted", "gated"):
            self.add_state(state, torch.zeros(len(self.names), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("rows", [], dist_reduce_fx="cat")
        self._seat_rows()

    def _seat_rows(self) -> None:
        # A rank without questions would otherwise offer a float vector where others gather rows of integers.
        self.rows.append(torch.zeros(0, 3, dtype=torch.long, device=self.correct.device))

    def reset(self) -> None:
        """Forget all questions."""
        super().reset()
        self._seat_rows()

    def update(
        self,
        suites: Sequence[str],
        edit_ids: Sequence[str | None],
        correct: Tensor | Sequence[bool],
        accepted: Sequence[bool | None] | None = None,
    ) -> None:
        """Add n questions.

        Raises:
            ValueError: lengths differ, or a suite is not one of ``names``.
        """
        marks = torch.as_tensor(correct, dtype=torch.bool).flatten().cpu().long()
        gates: Sequence[bool | None] = [None] * len(marks) if accepted is None else list(accepted)
        if not len(suites) == len(edit_ids) == len(marks) == len(gates):
            raise ValueError(
                f"metrics: {len(suites)} suites, {len(edit_ids)} edits, {len(marks)} answers and {len(gates)} "
                "accept marks; give one of each a question"
            )
        unknown = [name for name in suites if name not in self.names]
        if unknown:
            raise ValueError(f"metrics: unknown suite {unknown[0]!r}; known are {', '.join(self.names)}")
        place = torch.tensor([self.names.index(name) for name in suites], dtype=torch.long)
        gated = torch.tensor([mark is not None for mark in gates], dtype=torch.long)
        opened = torch.tensor([bool(mark) for mark in gates], dtype=torch.long)
        for state, amount in (
            ("correct", marks),
            ("total", torch.ones_like(marks)),
            ("accepted", opened),
            ("gated", gated),
        ):
            counts = torch.zeros(len(self.names), dtype=torch.long).index_add(0, place, amount)
            setattr(self, state, getattr(self, state) + counts.to(self.correct.device))
        edits = torch.tensor([edit_number(edit_id) for edit_id in edit_ids], dtype=torch.long)
        self.rows.append(torch.stack([place, edits, marks], dim=1).to(self.correct.device))

    def compute(self) -> dict[str, Tensor]:
        """Means, intervals, numbers of questions and accept rates of all suites."""
        rows = dim_zero_cat(self.rows).cpu().numpy()
        found: dict[str, float] = {}
        for place, name in enumerate(self.names):
            _, edits, marks = rows[rows[:, 0] == place].T
            clusters = None if name in self.independent else edits
            _, low, high, _ = estimate(marks, clusters, self.level, self.resamples, self.seed)
            found[name] = share(int(self.correct[place]), int(self.total[place]))
            found[f"{name}/low"], found[f"{name}/high"] = low, high
            found[f"{name}/n"] = int(self.total[place])
            found[f"{name}/accept"] = share(int(self.accepted[place]), int(self.gated[place]))
        device = self.correct.device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        return {name: torch.tensor(value, dtype=dtype, device=device) for name, value in found.items()}

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot the suites' means; see :meth:`torchmetrics.Metric.plot`."""
        steps = [val or self.compute()] if not isinstance(val, (list, tuple)) else list(val)
        means = [{name: step[name] for name in self.names if not step[name].isnan()} for step in steps]
        return self._plot(means[0] if len(means) == 1 else means, ax)


def _number(value: Tensor | float) -> float | None:
    return None if math.isnan(value) else float(value)


def summary(computed: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """What :meth:`EditMetrics.compute` found, as results are written: JSON without ``NaN``.

    >>> metric = EditMetrics(names=("acc", "loc"))
    >>> metric.update(["acc"], ["e1"], [True])
    >>> summary(metric.compute())
    {'acc': {'mean': 1.0, 'ci95': [0.206..., 1.0], 'n': 1}, 'loc': {'mean': None, 'ci95': [None, None], 'n': 0}}
    """
    return {
        name: {
            "mean": _number(computed[name]),
            "ci95": [_number(computed[f"{name}/low"]), _number(computed[f"{name}/high"])],
            "n": int(computed[f"{name}/n"]),
        }
        for name in computed
        if "/" not in name
    }


def accept_rates(computed: Mapping[str, Tensor]) -> dict[str, float | None]:
    """Share of accepted retrievals of each suite; ``None`` where nothing was retrieved."""
    return {name: _number(computed[f"{name}/accept"]) for name in computed if "/" not in name}
