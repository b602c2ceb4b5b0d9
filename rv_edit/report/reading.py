"""Finished runs read back from their folders: ``results.json`` and ``answers.jsonl``, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rv_edit.errors import ConfigError
from rv_edit.report.results import SCHEMA

RESULTS, ANSWERS = "results.json", "answers.jsonl"


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder and what its ``results.json`` says.

    Attributes:
        folder: where it lies.
        results: the document.
        label: what tells it from the runs beside it.
    """

    folder: Path
    results: Mapping[str, Any]
    label: str

    @property
    def curve(self) -> Sequence[Mapping[str, Any]]:
        """The rounds of sequential editing; empty where there were none."""
        return list(self.results.get("curve") or ())

    def option(self, name: str) -> Any:
        """The value of an option of the run, by its dotted name; ``None`` where it had none of this name."""
        value: Any = self.results["config"]
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        return value


def read_runs(folders: Any, least: int, most: int | None = None) -> list[FinishedRun]:
    """The runs that the option ``runs`` names, in its order, with labels that differ.

    Args:
        folders: the option's value, a list of folders.
        least: how many are needed.
        most: how many there may be; ``None``: any number.

    Raises:
        ConfigError: another number of folders, or no finished run in one of them.
    """
    names = [folders] if isinstance(folders, str) else list(folders or ())
    wanted = f"{least}" if least == most else f"at least {least}"
    if len(names) < least or (most is not None and len(names) > most):
        raise ConfigError(f"runs names {len(names)} folders; give {wanted} folders of finished runs: runs=[one,other]")
    places = [Path(str(name)).expanduser() for name in names]
    repeated = [str(place) for number, place in enumerate(places) if place in places[:number]]
    if repeated:
        raise ConfigError(f"runs names {repeated[0]} twice; give different folders")
    read = [_results(place) for place in places]
    return [
        FinishedRun(place, found, label)
        for place, found, label in zip(places, read, _labels(places, read), strict=True)
    ]


def read_answers(run: FinishedRun) -> list[dict[str, Any]]:
    """The lines of a run's ``answers.jsonl``.

    Raises:
        ConfigError: there are none, or one is damaged.
    """
    path = run.folder / ANSWERS
    rows = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        try:
            row = json.loads(line)
            known = isinstance(row["suite"], str) and isinstance(row["id"], str) and isinstance(row["correct"], bool)
        except (ValueError, KeyError, TypeError, RecursionError):
            known = False
        if not known:
            raise ConfigError(f"runs: {path}, line {number}: not an answer of a run; restore the file, or run again")
        rows.append(row)
    if not rows:
        raise ConfigError(f"runs: {path}: no answers in it; run again")
    return rows


def _results(folder: Path) -> dict[str, Any]:
    path = folder / RESULTS
    text = _text(path)
    try:
        found = json.loads(text)
        whole = isinstance(found, dict) and all(isinstance(found[key], dict) for key in ("after", "config"))
    except (ValueError, KeyError, RecursionError):
        whole = False
    if not whole:
        raise ConfigError(f"runs: {path}: damaged; restore it from a copy, or run again")
    if found.get("schema") != SCHEMA:
        raise ConfigError(f"runs: {path}: schema {found.get('schema')!r}, this program reads {SCHEMA}; run again")
    return dict(found)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"runs: {path}: no such file; give the output folder of a finished run") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"runs: {path}: cannot be read ({error})") from error


def _labels(places: Sequence[Path], read: Sequence[Mapping[str, Any]]) -> list[str]:
    """The editor's name where it tells the runs apart, else with what else differs, else with the folder."""
    parts = [[_name(found, group) for found in read] for group in ("editor", "model", "dataset")]
    labels = parts[0]
    for more in parts[1:]:
        if len(set(labels)) == len(labels):
            break
        if len(set(more)) > 1:
            labels = [f"{label}, {name}" for label, name in zip(labels, more, strict=True)]
    if len(set(labels)) < len(labels):
        labels = [f"{label}, {place.name}" for label, place in zip(labels, places, strict=True)]
    if len(set(labels)) < len(labels):
        labels = [f"{label} ({place})" for label, place in zip(labels, places, strict=True)]
    return labels


def _name(found: Mapping[str, Any], group: str) -> str:
    node = found["config"].get(group)
    return str(node.get("name", group)) if isinstance(node, Mapping) else group
