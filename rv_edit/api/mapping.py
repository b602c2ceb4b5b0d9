"""The codebook as a map: every key on a plane, with the sentences that it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rv_edit.codebook.packing import widen
from rv_edit.codebook.projection import Plane, plane

if TYPE_CHECKING:
    from torch import Tensor

    from data_modules.records import Question
    from rv_edit.api.state import State


@dataclass(frozen=True)
class MapPoint:
    """A key on the map.

    Attributes:
        key: its id.
        x, y: on the plane, in the units of distances.
        facts, kinds, edits: its sentences in force, whether each is an ``answer`` or ``reasoning``, and of which edit.
    """

    key: str
    x: float
    y: float
    facts: tuple[str, ...]
    kinds: tuple[str, ...]
    edits: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Map:
    """Keys on a plane.

    Attributes:
        points: the newest keys, oldest of them first.
        left_out: how many older ones are not shown.
        plane: where other keys would lie.
        version: of the edits.
    """

    points: tuple[MapPoint, ...]
    left_out: int
    plane: Plane
    version: int


def draw_map(state: State, most: int) -> Map:
    """The map of the newest ``most`` keys of ``state``."""
    book = state.editor.codebook
    first = max(0, len(book) - most)
    keys = widen(book.keys[first:].cpu())
    flat = plane(keys)
    places = flat.place(keys).tolist()
    points = []
    for (x, y), key, group in zip(places, book.key_ids[first:], book.ledger.groups[first:], strict=True):
        behind = list({entry.normal: entry for entry in book.ledger.live(group)}.values())
        points.append(
            MapPoint(
                key,
                x,
                y,
                tuple(entry.text for entry in behind),
                tuple(entry.kind for entry in behind),
                tuple(entry.edit_id for entry in behind),
            )
        )
    return Map(tuple(points), first, flat, state.version)


def query_keys(state: State, questions: Sequence[Question]) -> Tensor:
    """(B, dim) the keys that ``questions`` are looked up with; no rows where the codebook is empty.

    Raises:
        RecordError: a picture cannot be decoded.
    """
    return state.editor.query_keys(questions).cpu()
