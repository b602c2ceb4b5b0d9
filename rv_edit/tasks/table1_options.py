"""The options of ``task=table1``, checked before anything runs, and the cells that they ask for."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rv_edit.composing import option_names, paper_name
from rv_edit.errors import ConfigError
from rv_edit.tasks.cells import Cell
from rv_edit.tasks.checks import writable
from rv_edit.tasks.keeping import Kept

CHOSEN = ("experiment", "task", "output", "resume", "codebook")
"""Options of a command line that are the table's own, or a cell's."""
ELSEWHERE = {
    "editor": "table1.editors=[…]",
    "model": "table1.models=[…]",
    "dataset": "table1.datasets=[…]",
    "dataset.edits": "table1.edits=…",
}
"""What a single run takes and a table takes under another name."""
WATCHING = {"logger": "logger=none"}
"""What a cell gets unless the command line says otherwise."""


@dataclass(frozen=True)
class Table1Options:
    """What a table holds and where it lies.

    Attributes:
        cells: in the order in which they are run: a model and data set after the other, since what is mined is shared.
        broken: cells whose options do not fit together, each with one line of why.
        folder: of the cells.
        report: of tables and figures.
        kept: where results are kept besides; ``None``: nowhere.
        jobs: cells at a time.
        limit_s: seconds after which a cell is given up.
        only_report: run nothing.
        given: options of the command line.
        names: editor -> what it is called.
        paper_models, paper_datasets: our names -> those of the paper's columns.
    """

    cells: tuple[Cell, ...]
    broken: tuple[tuple[Cell, str], ...]
    folder: Path
    report: Path
    kept: Kept | None
    jobs: int
    limit_s: float | None
    only_report: bool
    given: tuple[str, ...]
    names: Mapping[str, str]
    paper_models: Mapping[str, str]
    paper_datasets: Mapping[str, str]


def table1_options(cfg: DictConfig) -> Table1Options:
    """Check the options and compose each cell's.

    Raises:
        ConfigError: the first option that cannot be used, or the options of every cell do not fit together.
    """
    plain: Any = OmegaConf.to_container(cfg.table1, resolve=True)
    names = {str(name): str(called) for name, called in plain["names"].items()}
    editors = sorted(_matching("editor", plain["editors"]), key=lambda name: _place(names, name))
    models, datasets = _matching("model", plain["models"]), _matching("dataset", plain["datasets"])
    given = _given() if plain["given"] is None else tuple(map(str, plain["given"]))
    shared = passed_on(given)
    edits = _edits(plain)
    own = _options_of(plain["options"] or {})
    cells: list[Cell] = []
    broken: list[tuple[Cell, str]] = []
    for model in models:
        for dataset in datasets:
            for editor in editors:
                more = (*shared, *own.get(editor, ()))
                count = edits(editor, model, dataset)
                try:
                    cells.append(Cell.of(editor, model, dataset, count, more))
                except ConfigError as error:
                    broken.append((Cell(editor, model, dataset, count, more, ""), str(error)))
    if not cells:
        raise ConfigError(broken[0][1])
    folder = writable(Path(plain["folder"]).expanduser(), "table1.folder=")
    return Table1Options(
        cells=tuple(cells),
        broken=tuple(broken),
        folder=folder,
        report=writable(Path(plain["report"]).expanduser(), "table1.report="),
        kept=None if plain["kept"] is None else Kept(Path(plain["kept"]).expanduser()),
        jobs=_at_least(plain["jobs"], "table1.jobs", 1),
        limit_s=_limit(plain["limit_s"]),
        only_report=bool(plain["only_report"]),
        given=given,
        names=names,
        paper_models=_paper("model", models),
        paper_datasets=_paper("dataset", datasets),
    )


def _given() -> tuple[str, ...]:
    """The options of the command line; none where Hydra did not start us."""
    from hydra.core.hydra_config import HydraConfig

    return tuple(HydraConfig.get().overrides.task) if HydraConfig.initialized() else ()


def passed_on(given: Sequence[str]) -> tuple[str, ...]:
    """Those options of a command line that every cell gets.

    Raises:
        ConfigError: an option that a table takes under another name.
    """
    kept = []
    for option in given:
        name = option.partition("=")[0].lstrip("+~")
        if name in ELSEWHERE:
            raise ConfigError(f"{name}=: in a table, give {ELSEWHERE[name]}")
        if name.startswith("editor."):
            raise ConfigError(f"{name}=: in a table, say which editor's: table1.options={{<editor>: ['{option}']}}")
        if name not in CHOSEN and not name.startswith(("table1", "task.", "hydra.", "experiment")):
            kept.append(option)
    known = {option.partition("=")[0].lstrip("+~") for option in kept}
    return (*(option for name, option in WATCHING.items() if name not in known), *kept)


def _matching(group: str, patterns: Any) -> list[str]:
    """The options of a group that patterns name, each once, in the order of the patterns."""
    where = f"table1.{group}s"
    if not isinstance(patterns, list) or not patterns:
        raise ConfigError(f"{where}={patterns}: give a list of names or patterns")
    known = option_names(group)
    found: dict[str, None] = {}
    for pattern in map(str, patterns):
        here = fnmatch.filter(known, pattern)
        if not here:
            raise ConfigError(f"{where}: no {pattern!r}; there are {', '.join(known)}")
        found.update(dict.fromkeys(here))
    return list(found)


def _paper(group: str, options: Sequence[str]) -> dict[str, str]:
    """Those of the options that the paper's tables have, each with its name there."""
    return {option: name for option in options if (name := paper_name(group, option)) is not None}


def _place(names: Mapping[str, str], name: str) -> tuple[float, str]:
    """The paper's order; what it does not have comes before its last."""
    order = list(names)
    return (order.index(name), name) if name in order else (len(order) - 1.5, name)


def _edits(plain: Any) -> Callable[[str, str, str], int]:
    """``(editor, model, dataset) -> edits``: what is said of the cell, else of the editor, else of all."""
    common = _at_least(plain["edits"], "table1.edits", 1)
    given = {str(name): value for name, value in (plain["edits_of"] or {}).items()}
    for name, value in given.items():
        _at_least(value, f"table1.edits_of.{name}", 1)
        parts = name.split("/")
        groups = (option_names("editor"), option_names("model"), option_names("dataset"))
        if len(parts) not in (1, 3) or any(part not in known for part, known in zip(parts, groups, strict=False)):
            raise ConfigError(f"table1.edits_of.{name}: give <editor> or <editor>/<model>/<dataset>")

    def of(editor: str, model: str, dataset: str) -> int:
        return int(given.get(f"{editor}/{model}/{dataset}", given.get(editor, common)))

    return of


def _options_of(given: Any) -> dict[str, tuple[str, ...]]:
    known = option_names("editor")
    found = {}
    for name, options in given.items():
        if name not in known:
            raise ConfigError(f"table1.options.{name}: no such editor; there are {', '.join(known)}")
        if not isinstance(options, list):
            raise ConfigError(f"table1.options.{name}={options}: give a list of options, as on the command line")
        found[str(name)] = tuple(map(str, options))
    return found


def _at_least(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value}: give a whole number of at least {least}")
    return value


def _limit(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(f"table1.limit_s={value}: give seconds above 0, or null")
    return float(value)
