"""``task=figures``: finished runs side by side, as CSV and PNG: curves, times, ablations. No model is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from rv_edit.errors import ConfigError
from rv_edit.report.curves import Row, curve_rows, end_row, write_ablation, write_curves, write_times
from rv_edit.report.reading import FinishedRun, read_runs
from rv_edit.report.table import print_paths
from rv_edit.tasks.checks import writable


def run(cfg: DictConfig) -> list[Path]:
    """Run the task: ``times`` of all runs, ``curves`` of those that have any, ``ablation`` where an option is named.

    Raises:
        ConfigError: no finished run in one of the folders, or the option is none of theirs.
    """
    runs = read_runs(cfg.runs, least=1)
    option = cfg.task.option
    ablation = [] if option is None else _ablation(runs, str(option))
    folder = writable(Path(cfg.output))
    title = _title(runs)
    curves = [row for item in runs for row in curve_rows(item.label, item.curve)]
    paths = write_times(folder, [end_row(item.label, item.results) for item in runs], title)
    if curves:
        paths += write_curves(folder, curves, title)
    if ablation:
        paths += write_ablation(folder, ablation, str(option), title)
    print_paths(paths)
    return paths


def _ablation(runs: Sequence[FinishedRun], option: str) -> list[Row]:
    """A row a run with the option's value; runs that differ in it alone are a line."""
    lacking = [str(item.folder) for item in runs if item.option(option) is None]
    if lacking:
        raise ConfigError(f"task.option={option}: {lacking[0]} has no such option; `--cfg job` shows what there is")
    rows = []
    for item in runs:
        line = ", ".join(name for group in ("editor", "model", "dataset") if (name := _name(item, group)))
        rows.append({**end_row(line, item.results), "value": _plain(item.option(option)), "folder": str(item.folder)})
    return sorted(rows, key=lambda row: (str(row["run"]), _order(row["value"])))


def _plain(value: Any) -> Any:
    """A value for a cell: what is no number as text."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _order(value: Any) -> tuple[bool, Any]:
    return (isinstance(value, str), value)


def _title(runs: Sequence[FinishedRun]) -> str:
    """The model and the data set, where all runs have the same."""
    parts = [{_name(item, group) for item in runs} for group in ("model", "dataset")]
    return ", ".join(next(iter(names)) for names in parts if len(names) == 1)


def _name(item: FinishedRun, group: str) -> str:
    return str(item.option(f"{group}.name") or "")
