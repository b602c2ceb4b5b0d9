"""The fingerprint of a key space: keys of one mean nothing in another, so a codebook says which is its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return leaves


def difference(stored: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """What tells two fingerprints apart, in one line; empty where nothing does.

    >>> difference({"layer": 3, "encoder": {"name": "a"}}, {"layer": 2, "encoder": {"name": "a"}})
    'layer: stored 3, here 2'
    """
    ours, theirs = _flat(expected), _flat(stored)
    names = list(dict.fromkeys([*theirs, *ours]))
    return "; ".join(
        f"{name}: stored {theirs.get(name, 'nothing')!r}, here {ours.get(name, 'nothing')!r}"
        for name in names
        if name not in ours or name not in theirs or ours[name] != theirs[name]
    )
