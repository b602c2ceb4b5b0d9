"""Candidate patches: the rectangles of a grid over a picture (paper 3.2, C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_modules.records import Box
from rv_edit.errors import ConfigError

SHAPES = ((1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2))
"""Rows × columns of the rectangles, at several scales."""


@dataclass(frozen=True)
class Patch:
    """A rectangle of grid cells.

    Attributes:
        box: in pixels ``(left, top, right, bottom)``, whole numbers, at least one pixel wide and high.
        cell: row and column of its upper left cell.
        shape: rows and columns of cells.
    """

    box: Box
    cell: tuple[int, int]
    shape: tuple[int, int]

    @property
    def cells(self) -> int:
        """Number of cells: what "smallest" compares, since pixels differ by rounding between equal shapes."""
        return self.shape[0] * self.shape[1]


def grid_patches(
    width: int,
    height: int,
    g: int = 3,
    shapes: Sequence[tuple[int, int]] = SHAPES,
    by_orientation: bool = True,
    max_aspect: float = 50.0,
) -> list[Patch]:
    """All rectangles of the given shapes on a g×g grid over a picture of ``width`` × ``height`` pixels.

    Left out: the whole picture; wide shapes on landscape and tall ones on portrait pictures, where
    ``by_orientation``; patches that rounding leaves without a pixel or with the pixels of an earlier one (pictures
    smaller than the grid); and slivers longer than ``max_aspect`` times their width, which no vision tower can read.
    So a picture of one pixel has no patches.

    Returns:
        Patches in the order of ``shapes``, then from left to right, row by row.

    Raises:
        ConfigError: no grid, or a shape that is not one.

    >>> len(grid_patches(90, 90)), len(grid_patches(120, 90)), len(grid_patches(90, 120)), len(grid_patches(1, 1))
    (29, 21, 21, 0)
    >>> grid_patches(100, 90)[1]
    Patch(box=(33, 0, 67, 30), cell=(0, 1), shape=(1, 1))
    """
    if g < 1 or any(rows < 1 or columns < 1 for rows, columns in shapes):
        raise ConfigError(f"evidence: grid {g}, shapes {list(shapes)}; give at least 1 cell a side")
    across = [round(step * width / g) for step in range(g + 1)]
    down = [round(step * height / g) for step in range(g + 1)]
    seen: set[Box] = {(0, 0, width, height)}
    patches: list[Patch] = []
    for rows, columns in shapes:
        wide, tall = columns > rows, rows > columns
        if by_orientation and ((wide and width > height) or (tall and height > width)):
            continue
        for row in range(g - rows + 1):
            for column in range(g - columns + 1):
                box = (across[column], down[row], across[column + columns], down[row + rows])
                sides = (box[2] - box[0], box[3] - box[1])
                if min(sides) < 1 or max(sides) > max_aspect * min(sides) or box in seen:
                    continue
                seen.add(box)
                patches.append(Patch(box, (row, column), (rows, columns)))
    return patches
