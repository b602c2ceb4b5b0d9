"""One share as a torchmetric: answers right of a suite, or questions whose retrieval was accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from rv_edit.metrics.functional import share


class SuiteAccuracy(Metric):
    r"""Share of right answers of one suite (paper 4.1).

    .. math:: \text{Accuracy} = \frac{1}{N} \sum_i^N 1(\hat y_i = y_i)

    As input to ``update``:

    - ``correct`` (Tensor or sequence): (n,) booleans, in any number of updates. For Loc *correct* means: as the
      unedited model answered.

    As output of ``compute``: a scalar tensor, ``nan`` where nothing was asked.

    In a ``MetricCollection`` of several of these pass ``compute_groups=False``: torchmetrics merges metrics of one
    class whose first updates are equal, and suites then share a value. :class:`~rv_edit.metrics.EditMetrics` has
    no such trap.

    Args:
        kwargs: of :class:`torchmetrics.Metric`.

    >>> metric = SuiteAccuracy()
    >>> metric.update([True, False]); metric.update(torch.tensor([True, True]))
    >>> metric.compute()
    tensor(0.7500)
    """

    is_differentiable = False
    higher_is_better: bool | None = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    correct: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("correct", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, correct: Tensor | Sequence[bool]) -> None:
        """Add answers (n,)."""
        marks = torch.as_tensor(correct, dtype=torch.bool).flatten()
        self.correct += int(marks.sum())
        self.total += marks.numel()

    def compute(self) -> Tensor:
        """The share so far."""
        return torch.tensor(share(int(self.correct), int(self.total)), device=self.correct.device)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot one value or several; see :meth:`torchmetrics.Metric.plot`."""
        return self._plot(val, ax)


class AcceptRate(SuiteAccuracy):
    """Share of questions for which the codebook's retrieval was accepted.

    Questions asked of an editor that retrieves nothing (``None``) do not count.

    >>> metric = AcceptRate()
    >>> metric.update([True, None, False])
    >>> metric.compute()
    tensor(0.5000)
    """

    higher_is_better = None  # right for an edit's own questions, wrong for unrelated ones

    def update(self, accepted: Sequence[bool | None]) -> None:  # type: ignore[override]
        """Add questions (n,)."""
        super().update([mark for mark in accepted if mark is not None])
