"""What a table of editors is made of: cells with figures, or with one line of why there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rv_edit.report.comparison.figures import Figure
from rv_edit.report.comparison.paper import Column, paper_column


@dataclass(frozen=True)
class Entry:
    """One editor on one model and one data set.

    Attributes:
        editor: what it is called.
        model, dataset: names of options.
        edits: errors that were to be corrected.
        results: its ``results.json``; ``None`` where it has not run, or failed.
        reason: one line of why it failed.
    """

    editor: str
    model: str
    dataset: str
    edits: int
    results: Mapping[str, Any] | None = None
    reason: str | None = None

    def figure(self, suite: str) -> Figure | None:
        """A suite after the edits; ``None`` where it was not asked."""
        found = {} if self.results is None else self.results["after"].get(suite, {})
        if found.get("mean") is None:
            return None
        low, high = found["ci95"]
        mean = float(found["mean"])
        return Figure(mean, mean if low is None else float(low), mean if high is None else float(high))

    def questions(self, suite: str) -> int:
        """How many were asked."""
        return 0 if self.results is None else int(self.results["after"].get(suite, {}).get("n", 0))

    def cost(self, name: str) -> float | None:
        """``seconds_per_edit``, ``peak_memory_mb`` or ``kb_per_edit``; ``None`` where it is not known."""
        value = None if self.results is None else self.results.get(name)
        return None if value is None else float(value)

    def counted(self, name: str) -> int:
        """``edits_diverged`` or ``edits_refused``."""
        return 0 if self.results is None else int(self.results["error_counts"].get(name, 0))


@dataclass(frozen=True)
class Comparison:
    """All cells of a table.

    Attributes:
        entries: in any order.
        editors: what they are called, in the order of rows.
        models, datasets: in order.
        paper_models, paper_datasets: our names -> those of the paper's columns.
    """

    entries: Sequence[Entry]
    editors: Sequence[str]
    models: Sequence[str]
    datasets: Sequence[str]
    paper_models: Mapping[str, str] = field(default_factory=dict)
    paper_datasets: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str], Entry]:
        return {(entry.editor, entry.model, entry.dataset): entry for entry in self.entries}

    def entry(self, editor: str, model: str, dataset: str) -> Entry | None:
        """A cell; ``None`` where the table does not ask for it."""
        return self._by_place.get((editor, model, dataset))

    def paper(self, model: str, dataset: str) -> Column:
        """The paper's figures that stand beside a model and a data set; empty where it has none."""
        return paper_column(self.paper_models.get(model), self.paper_datasets.get(dataset))

    @property
    def finished(self) -> list[Entry]:
        """The cells with figures."""
        return [entry for entry in self.entries if entry.results is not None]

    @property
    def failed(self) -> list[Entry]:
        """The cells that ran and gave none."""
        return [entry for entry in self.entries if entry.results is None and entry.reason is not None]

    @property
    def missing(self) -> list[Entry]:
        """The cells that have not run yet."""
        return [entry for entry in self.entries if entry.results is None and entry.reason is None]
