"""What is built: how many of each, with which prompts (paper 4.1 and appendix B); all of it comes from options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from rv_edit.errors import ConfigError

BUILT = ("t_gen", "i_gen", "r_gen", "coe_gen")
"""The suites that can be built, in the order of reports."""


@dataclass(frozen=True)
class Rephrasing:
    """T-Gen: ``count`` rephrasings an edit. ``form`` is the part of the prompt that says how to answer."""

    count: int
    prompt: str
    form: str


@dataclass(frozen=True)
class Redrawing:
    """I-Gen: ``per_model`` pictures of each model, from the text ``picture``."""

    per_model: int
    picture: str


@dataclass(frozen=True)
class Rationale:
    """R-Gen: a question with ``wrong`` wrong answers on each subset of the facts, and a picture from ``picture``.

    ``most_subsets``: an edit with many facts has only so many, smallest first. ``model``: which image model;
    ``None``: they take turns.
    """

    wrong: int
    prompt: str
    form: str
    picture: str
    most_subsets: int
    model: str | None


@dataclass(frozen=True)
class Scenes:
    """CoE-Gen: ``scenes`` scenes of less than ``most_words`` words that show the chain; one picture each.

    ``model``: which image model; ``None``: the first.
    """

    scenes: int
    most_words: int
    prompt: str
    form: str
    picture: str
    model: str | None


@dataclass(frozen=True)
class BuildSettings:
    """All of it.

    Attributes:
        suites: which of :data:`BUILT`.
        attempts: times that a text is asked for until enough of it is good.
        regenerations: times that a picture is made anew before it is dropped.
        seed: of everything that is drawn.
    """

    suites: tuple[str, ...]
    attempts: int
    regenerations: int
    seed: int
    t_gen: Rephrasing
    i_gen: Redrawing
    r_gen: Rationale
    coe_gen: Scenes


_PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "t_gen": {"prompt": ("question",)},
    "i_gen": {"picture": ()},
    "r_gen": {"prompt": ("facts",), "picture": ()},
    "coe_gen": {"prompt": ("facts",), "picture": ("scene",)},
}
"""What each template must have a place for."""
_LEAST = {"count": 1, "per_model": 1, "wrong": 1, "most_subsets": 1, "scenes": 1, "most_words": 2}
_Part = TypeVar("_Part", Rephrasing, Redrawing, Rationale, Scenes)


def read_settings(options: Mapping[str, Any], seed: int) -> BuildSettings:
    """Check the options of ``task=build_suites``.

    Raises:
        ConfigError: the first that cannot be used.
    """
    suites = options["suites"]
    if not isinstance(suites, list) or not suites or not set(suites) <= set(BUILT):
        raise ConfigError(f"task.suites={suites}: give a list of {', '.join(BUILT)}")
    return BuildSettings(
        tuple(name for name in BUILT if name in suites),
        whole("task.attempts", options["attempts"], 1),
        whole("task.regenerations", options["regenerations"], 0),
        seed,
        _part("t_gen", options["t_gen"], Rephrasing),
        _part("i_gen", options["i_gen"], Redrawing),
        _part("r_gen", options["r_gen"], Rationale),
        _part("coe_gen", options["coe_gen"], Scenes),
    )


def whole(name: str, value: Any, least: int) -> int:
    """``value``, if it is a whole number of at least ``least``.

    Raises:
        ConfigError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value}: give a whole number of at least {least}")
    return value


def fill(template: str, **values: str | int) -> str:
    """``template`` with ``{name}`` replaced; other braces stay, since answers are asked for as JSON.

    >>> fill('{a} or {"b": 1}', a="x")
    'x or {"b": 1}'
    """
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", str(value))
    return " ".join(template.split()) if "\n" not in template else template.strip()


def _part(suite: str, options: Any, kind: type[_Part]) -> _Part:
    known: list[str] = [field.name for field in fields(kind)]
    given: dict[str, Any] = dict(options) if isinstance(options, Mapping) else {}
    for name in {*given, *known}:
        if name not in known:
            raise ConfigError(f"task.{suite}.{name}: unknown option; there are {', '.join(known)}")
        if name not in given:
            raise ConfigError(f"task.{suite}.{name} has no value")
        value = given[name]
        if name in _LEAST:
            whole(f"task.{suite}.{name}", value, _LEAST[name])
        elif not isinstance(value, str) and not (name == "model" and value is None):
            raise ConfigError(f"task.{suite}.{name}={value}: give a text")
    for name, places in _PLACES[suite].items():
        for place in places:
            if f"{{{place}}}" not in given[name]:
                raise ConfigError(f"task.{suite}.{name}: it must contain {{{place}}}")
    return kind(**given)
