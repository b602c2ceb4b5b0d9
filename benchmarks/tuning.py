"""``python benchmarks/tuning.py``: the learning rates that the paper's text lost, by the same search for every editor.

Every editor that trains gets the same number of trials, on the same rates, edits and questions, of the tuning split, of
which no result is ever reported. A rate's score is the mean of Acc, T-Gen, I-Gen and Loc over the data sets: what all
editors set out to do. What this project is about, R-Gen and CoE-Gen, is not looked at. An edit that diverges stays in
the mean. The best rate goes into ``conf/editor`` by hand.

A trial is one run of ``task=edit`` in a folder named by all that it depends on, the model's weights included: the
command can be given again after an interruption, and with other weights it starts anew. Page and table are written
after each trial, as far as there are any, and ``tuning.jsonl``, from which another machine goes on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omegaconf import OmegaConf

from benchmarks.tuning_page import Trial, page, trial_rows
from rv_edit.composing import conf_dir
from rv_edit.errors import ConfigError
from rv_edit.report.files import write_together
from rv_edit.report.tables import write_csv
from rv_edit.tasks.cells import Cell
from rv_edit.tasks.keeping import Kept
from rv_edit.tasks.running import Outcome, Runner

ROOT = Path(__file__).resolve().parents[1]
OPTION = "training.lr"
"""What is searched; editors without it are not tuned."""
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
SPLIT = ("dataset.source._target_=benchmarks.tuning_split.load", "dataset.source.split=tune")
HERE = ("--out", "--to", "--jobs", "--most", "cache")
QUIET = ("logger=none", "callbacks=none")


@dataclass(frozen=True)
class Search:
    """What is tried.

    Attributes:
        editors, datasets: names of options.
        model: name of an option.
        rates: of each editor.
        edits: of a trial.
        loc: questions of Loc.
        options: further options of every trial.
    """

    editors: Sequence[str]
    model: str
    datasets: Sequence[str]
    rates: Sequence[float]
    edits: int
    loc: int
    options: Sequence[str] = ()

    def cells(self) -> dict[Cell, tuple[str, float, str]]:
        """Each trial as a cell -> editor, rate, data set; from the middle of the rates outwards, all editors in turn.

        So a search that ends early has tried the likeliest rates of every editor.

        Raises:
            ConfigError: options that do not fit together.
        """
        ordered = sorted(self.rates)
        middle = sorted(ordered, key=lambda rate: abs(ordered.index(rate) - len(ordered) // 2))
        found = {}
        for rate in middle:
            for editor in self.editors:
                for dataset in self.datasets:
                    loc = (f"dataset.loc_random={self.loc // 2}", f"dataset.loc_similar={self.loc - self.loc // 2}")
                    options = (*SPLIT, *loc, *QUIET, f"editor.{OPTION}={rate:g}", *self.options)
                    cell = Cell.of(editor, self.model, dataset, self.edits, options)
                    found[cell] = (editor, rate, dataset)
        return found


def tunable() -> list[str]:
    """The editors that have the option."""
    paths = sorted(conf_dir().glob("editor/*.yaml"))
    return [path.stem for path in paths if OmegaConf.select(OmegaConf.load(path), OPTION) is not None]


def run(search: Search, out: Path, to: Path, jobs: int = 1, most: int | None = None, command: str = "") -> list[Trial]:
    """Run the trials that are missing, and write ``tuning.md`` and ``tuning.csv`` after each.

    Args:
        search: what is tried.
        out: folder of the trials.
        to: folder of page and table.
        jobs: trials at a time.
        most: trials to be run at most; ``None``: all.
        command: that is given, for the page.

    Returns:
        All trials, those that have not run or failed without figures.
    """
    runner, places = Runner(out, kept=Kept(to / "tuning.jsonl")), search.cells()
    outcomes = {cell: runner.known(cell) for cell in places}
    left = [cell for cell in places if outcomes[cell].results is None]
    mine, guard, started, made = left[:most], threading.Lock(), time.monotonic(), 0

    def trials() -> list[Trial]:
        found = [Trial(*places[cell], outcome.results, outcome.reason) for cell, outcome in outcomes.items()]
        return sorted(found, key=lambda trial: (trial.editor, trial.rate, trial.dataset))

    def write() -> None:
        text, rows = page(trials(), search.edits, search.loc, search.model, command), trial_rows(trials())
        write_together(
            {to / "tuning.md": lambda stream: stream.write(text), to / "tuning.csv": partial(write_csv, rows)}
        )

    def one(cell: Cell) -> None:
        nonlocal made
        outcome = runner(cell) or Outcome(cell)
        with guard:
            outcomes[cell] = outcome
            made += 1
            each = (time.monotonic() - started) / made
            editor, rate, dataset = places[cell]
            told = "done" if outcome.results is not None else f"failed: {outcome.reason}"
            rest = each * (len(left) - made) / 60
            print(f"{editor} {rate:g} {dataset}: {told}; {each:.0f} s a trial, {rest:.0f} min for the rest", flush=True)
            write()

    try:
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(one, mine))
    finally:
        runner.stop()
    write()
    return trials()


def command_of(given: Sequence[str]) -> str:
    """The command that makes the same page elsewhere: without what says where and how fast.

    >>> command_of(["--edits", "20", "--out", "/somewhere", "--jobs=2", "trainer=cpu", "cache=/somewhere"])
    'python benchmarks/tuning.py --edits 20 trainer=cpu'
    """
    kept, skip = [], False
    for word in given:
        name, _, value = word.partition("=")
        if skip or name in HERE:
            skip = not skip and not value
            continue
        kept.append(shlex.quote(word))
    return " ".join(["python benchmarks/tuning.py", *kept])


def main() -> None:
    """Run what is missing, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/tuning"))
    parser.add_argument("--to", type=Path, default=ROOT / "docs/results")
    parser.add_argument("--editors", nargs="+", default=tunable())
    parser.add_argument("--model", default="pocket_llava")
    parser.add_argument("--datasets", nargs="+", default=["pocket_aokvqa", "pocket_fvqa"])
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--edits", type=int, default=50)
    parser.add_argument("--loc", type=int, default=100, help="questions of Loc, half of them like an edited one")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time, one thread each")
    parser.add_argument("--most", type=int, help="run at most so many trials now")
    parser.add_argument("options", nargs="*", help="further options of every trial, as run.py takes them")
    args = parser.parse_args()
    search = Search(args.editors, args.model, args.datasets, args.rates, args.edits, args.loc, args.options)
    try:
        run(search, args.out.resolve(), args.to, args.jobs, args.most, command_of(sys.argv[1:]))
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from error
    print(args.to / "tuning.md")


if __name__ == "__main__":
    main()
