"""How a codebook stores and how it retrieves. What stores decides its bytes; what retrieves may change at any time."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

from rv_edit.codebook.maths import MergeRule
from rv_edit.errors import ConfigError

Gate = Literal["percentile", "calibrated", "none"]
Engine = Literal["exact", "faiss"]


def _choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"codebook: {name}={value!r}; give one of {', '.join(choices)}")


def _number(name: str, value: object, low: float, high: float = math.inf, *, whole: bool = False) -> None:
    sort = int if whole else (int, float)
    top = min(high, sys.float_info.max)  # refuses infinity too, and NaN is in no range
    if isinstance(value, bool) or not isinstance(value, sort) or not low <= value <= top:
        span = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ConfigError(f"codebook: {name}={value!r}; give a {'whole number' if whole else 'number'} {span}")


@dataclass(frozen=True)
class Storing:
    """How entries become keys (paper 3.2).

    Attributes:
        merge: ``either`` of the two conditions suffices, ``both`` are needed, or ``off``.
        overlap: share of each disc that the intersection must exceed.
        closeness: share of each radius that the distance must stay below.
        max_values: sentences a key holds; a full one takes no other, which then founds a key of its own.
        key_bits: 16, or 8: half the memory, keys rounded (:mod:`rv_edit.codebook.packing`).
    """

    merge: MergeRule = "either"
    overlap: float = 0.9
    closeness: float = 0.1
    max_values: int = 5
    key_bits: int = 16

    def __post_init__(self) -> None:
        _choice("merge", self.merge, ("either", "both", "off"))
        _number("overlap", self.overlap, 0, 1)
        _number("closeness", self.closeness, 0)
        _number("max_values", self.max_values, 1, whole=True)
        if isinstance(self.key_bits, bool) or self.key_bits not in (8, 16):
            raise ConfigError(f"codebook: key_bits={self.key_bits!r}; give 16 or 8")

    def stored(self) -> dict[str, Any]:
        """As files and checksums have it: without what came later and is as it always was."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("key_bits", 16)}


@dataclass(frozen=True)
class Retrieving:
    """How a query is answered (paper 3.2).

    Attributes:
        k: nearest keys whose sentences are used.
        percentile: of all pairwise key distances, above which a query is rejected (``gate=percentile``).
        gate: ``percentile``; ``calibrated``: the distance that a share of unrelated questions passes; ``none``.
        min_edits: below so many edits, or without two keys, the percentile gate compares with the nearest
            key's radius instead.
        radius_factor: how many radii away such a query may be.
        hubness: divide distances to a key by its median distance to its ``hub_neighbours`` nearest keys.
        hub_neighbours: see ``hubness``.
        exact_keys: up to so many keys the percentile is exact, beyond it is right to 0.2 %.
        engine: what finds the nearest keys: ``exact``, or ``faiss``, an index that may miss one (extra ``faiss``).
        index_from: up to so many keys, and with ``hubness``, the search is exact with either.
        probes: cells of the index that are looked at for a query; more miss less and take longer.
    """

    k: int = 5
    percentile: float = 25.0
    gate: Gate = "percentile"
    min_edits: int = 10
    radius_factor: float = 3.0
    hubness: bool = False
    hub_neighbours: int = 30
    exact_keys: int = 2048
    engine: Engine = "exact"
    index_from: int = 100_000
    probes: int = 16

    def __post_init__(self) -> None:
        _choice("gate", self.gate, ("percentile", "calibrated", "none"))
        _number("k", self.k, 1, whole=True)
        _number("percentile", self.percentile, 0, 100)
        _number("min_edits", self.min_edits, 0, whole=True)
        _number("radius_factor", self.radius_factor, 0)
        _number("hub_neighbours", self.hub_neighbours, 1, whole=True)
        _number("exact_keys", self.exact_keys, 2, whole=True)
        _choice("engine", self.engine, ("exact", "faiss"))
        _number("index_from", self.index_from, 1, whole=True)
        _number("probes", self.probes, 1, whole=True)
        if self.engine == "faiss" and find_spec("faiss") is None:
            raise ConfigError('codebook: engine=faiss needs faiss; pip install "rv-edit[faiss]", or give engine=exact')
        if not isinstance(self.hubness, bool):
            raise ConfigError(f"codebook: hubness={self.hubness!r}; give true or false")


SettingsT = TypeVar("SettingsT", Storing, Retrieving)


def read_settings(cls: type[SettingsT], stored: object) -> SettingsT:
    """Settings as :func:`dataclasses.asdict` wrote them.

    Raises:
        ConfigError: not a mapping, or an unknown field.
    """
    names = {field.name for field in fields(cls)}
    if not isinstance(stored, Mapping) or not set(stored) <= names:
        raise ConfigError(f"codebook: settings {stored!r} are not those of {cls.__name__.lower()}")
    return cls(**stored)


def split_settings(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort options into those of :class:`Storing` and those of :class:`Retrieving`.

    Raises:
        ConfigError: an option of neither.
    """
    storing, retrieving = set(asdict(Storing())), set(asdict(Retrieving()))
    for name in options:
        if name not in storing | retrieving:
            raise ConfigError(f"codebook: unknown option {name!r}; known are {', '.join(sorted(storing | retrieving))}")
    return (
        {name: value for name, value in options.items() if name in storing},
        {name: value for name, value in options.items() if name in retrieving},
    )
