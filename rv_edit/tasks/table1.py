"""``task=table1``: editors x models x data sets, each cell an edit run of its own, and the paper's Table 1 of them."""

from __future__ import annotations

import logging
import os
import platform
import shlex
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import date

from omegaconf import DictConfig

from rv_edit.errors import ConfigError
from rv_edit.report.comparison import Comparison, Entry, print_comparison, write_comparison
from rv_edit.tasks.cells import Cell
from rv_edit.tasks.running import Outcome, Runner
from rv_edit.tasks.table1_options import Table1Options, table1_options

log = logging.getLogger(__name__)

Told = Callable[[Outcome], None]


def run(cfg: DictConfig) -> Comparison:
    """Run the cells that are missing, and write tables and figures anew after each.

    Returns:
        All cells.

    Raises:
        ConfigError: an option cannot be used; or, once everything else is done and written, some cells failed.
    """
    options = table1_options(cfg)
    command = _command(options.given)
    runner = Runner(options.folder, options.limit_s, kept=options.kept)
    outcomes = {cell: runner.known(cell) for cell in options.cells}
    guard = threading.Lock()

    def write() -> list[str]:
        return [
            str(path) for path in write_comparison(comparison(options, outcomes), options.report, command, [machine()])
        ]

    def told(outcome: Outcome) -> None:
        if outcome.results is None and outcome.reason is None:
            return  # stopped together with us
        with guard:
            outcomes[outcome.cell] = outcome
            done = sum(one.results is not None for one in outcomes.values())
            state = "finished" if outcome.results is not None else f"failed: {outcome.reason}"
            log.info("%s: %s (%d of %d)", outcome.cell.name, state, done, len(outcomes))
            write()

    if not options.only_report:
        missing = [cell for cell in options.cells if outcomes[cell].results is None]
        log.info("%d cells, %d of them to be run", len(options.cells), len(missing))
        _run_all(runner, missing, options.jobs, told)
    paths = write()
    found = comparison(options, outcomes)
    print_comparison(found)
    for path in paths:
        log.info("%s", path)
    if found.failed and not options.only_report:
        raise ConfigError(
            f"{len(found.failed)} of {len(found.entries)} cells failed, as said above and in "
            f"{options.report / 'table1.md'}; the same command tries them again"
        )
    return found


HERE = (
    "hydra.",
    "cache=",
    "table1.folder=",
    "table1.report=",
    "table1.kept=",
    "table1.jobs=",
    "table1.only_report=",
    "table1.limit_s=",
)
"""Options that say where and how cells are run, not what they are."""


def _command(given: Sequence[str]) -> str:
    """The command that makes the same table elsewhere."""
    kept = [option for option in given if not option.startswith(HERE)]
    return " ".join(["python run.py", *map(shlex.quote, kept)])


def machine() -> str:
    """When and on what kind of machine this is written."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no accelerator"
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device}"
    return f"Written on {date.today().isoformat()}: {where}, torch {torch.__version__}."


def comparison(options: Table1Options, outcomes: dict[Cell, Outcome]) -> Comparison:
    """The cells as a table."""
    entries = [
        Entry(
            called(options, cell), cell.model, cell.dataset, cell.edits, outcomes[cell].results, outcomes[cell].reason
        )
        for cell in options.cells
    ]
    entries += [
        Entry(called(options, cell), cell.model, cell.dataset, cell.edits, reason=reason)
        for cell, reason in options.broken
    ]
    return Comparison(
        entries,
        editors=list(dict.fromkeys(entry.editor for entry in _ordered(entries, options))),
        models=list(dict.fromkeys(entry.model for entry in entries)),
        datasets=list(dict.fromkeys(entry.dataset for entry in entries)),
        paper_models=options.paper_models,
        paper_datasets=options.paper_datasets,
    )


def called(options: Table1Options, cell: Cell) -> str:
    """What an editor is called in the table."""
    return options.names.get(cell.editor, cell.editor)


def _ordered(entries: Sequence[Entry], options: Table1Options) -> list[Entry]:
    order = {name: place for place, name in enumerate(options.names.values())}
    return sorted(entries, key=lambda entry: order.get(entry.editor, len(order) - 1.5))


def _run_all(runner: Runner, cells: Sequence[Cell], jobs: int, told: Told) -> None:
    """Run cells, those that another command is at last; whatever interrupts this ends them all."""

    def one(cell: Cell, last: bool) -> None:
        outcome = runner(cell, wait=last)
        if outcome is None:
            busy.append(cell)
        else:
            told(outcome)

    busy: list[Cell] = []
    try:
        for last in (False, True):
            turn = busy if last else cells
            with ThreadPoolExecutor(jobs) as pool:
                pending = [pool.submit(one, cell, last) for cell in turn]
                try:
                    for future in wait(pending, return_when=FIRST_EXCEPTION).done:
                        future.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    runner.stop()
                    raise
            if last or not busy:
                break
            log.info("%d cells are being run by another command; waiting for them", len(busy))
    finally:
        runner.stop()
