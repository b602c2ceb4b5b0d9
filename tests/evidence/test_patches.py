from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rv_edit.errors import ConfigError
from rv_edit.evidence import SHAPES, Patch, grid_patches

sizes = st.integers(1, 400)


def naive(width: int, height: int, g: int, shapes: tuple[tuple[int, int], ...]) -> set[tuple[int, int, int, int]]:
    """Pixel boxes of all rectangles of cells, by running over corners instead of shapes and places."""
    boxes = set()
    for top, left, bottom, right in itertools.product(range(g + 1), repeat=4):
        rows, columns = bottom - top, right - left
        if (rows, columns) not in shapes:
            continue
        if (width > height and columns > rows) or (height > width and rows > columns):
            continue
        boxes.add(
            tuple(round(at * side / g) for at, side in ((left, width), (top, height), (right, width), (bottom, height)))
        )
    boxes.discard((0, 0, width, height))
    return {box for box in boxes if box[0] < box[2] and box[1] < box[3]}


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.integers(1, 4))
def test_equals_the_naive_enumeration(width: int, height: int, g: int) -> None:
    patches = grid_patches(width, height, g, max_aspect=1e9)
    boxes = [patch.box for patch in patches]
    assert len(set(boxes)) == len(boxes)
    assert set(boxes) == naive(width, height, g, SHAPES)


@given(sizes, sizes)
def test_every_patch_is_a_proper_part_of_the_picture(width: int, height: int) -> None:
    for patch in grid_patches(width, height):
        left, top, right, bottom = patch.box
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert (right - left) * (bottom - top) < width * height
        assert max(right - left, bottom - top) <= 50 * min(right - left, bottom - top)
        assert patch.cells == patch.shape[0] * patch.shape[1]


def test_numbers_by_orientation() -> None:
    assert [len(grid_patches(*size)) for size in ((90, 90), (91, 90), (90, 91))] == [29, 21, 21]
    assert len(grid_patches(120, 90, by_orientation=False)) == 29
    assert not any(columns > rows for rows, columns in (patch.shape for patch in grid_patches(120, 90)))
    assert not any(rows > columns for rows, columns in (patch.shape for patch in grid_patches(90, 120)))


def test_the_whole_picture_is_no_patch_of_a_coarser_grid() -> None:
    assert {patch.shape for patch in grid_patches(60, 60, g=2)} == {(1, 1), (1, 2), (2, 1)}
    assert grid_patches(60, 60, g=1) == []


def test_single_cells_tile_the_picture() -> None:
    cells = [patch for patch in grid_patches(100, 71) if patch.shape == (1, 1)]
    assert sum((box[2] - box[0]) * (box[3] - box[1]) for box in (patch.box for patch in cells)) == 7100
    assert cells[0] == Patch((0, 0, 33, 24), (0, 0), (1, 1))
    assert cells[-1] == Patch((67, 47, 100, 71), (2, 2), (1, 1))


def test_tiny_and_extreme_pictures() -> None:
    assert grid_patches(1, 1) == []
    assert {patch.box for patch in grid_patches(2, 2)} == {
        (0, 0, 1, 1), (1, 0, 2, 1), (0, 1, 1, 2), (1, 1, 2, 2),
        (0, 0, 2, 1), (0, 1, 2, 2), (0, 0, 1, 2), (1, 0, 2, 2),
    }  # fmt: skip
    assert grid_patches(1, 3000) == []  # nothing but slivers
    assert grid_patches(1, 3000, max_aspect=1000) != []


def test_unusable_grids() -> None:
    with pytest.raises(ConfigError, match="grid 0"):
        grid_patches(9, 9, g=0)
    with pytest.raises(ConfigError, match="shapes"):
        grid_patches(9, 9, shapes=((0, 1),))
