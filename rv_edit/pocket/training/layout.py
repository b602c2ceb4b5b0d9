"""Where a family puts the picture in a prompt, and at which positions its tokens stand."""

from __future__ import annotations

from dataclasses import dataclass

from rv_edit.pocket.training.oracle import SIDE

Grid = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """The beginning of every prompt.

    Attributes:
        before: ids in front of the picture.
        after: ids behind it, up to the statements and the question.
        tail: ids between the question and the answer.
        image_id: stands for each token of the picture.
        eos: ends an answer.
        bos: begins a text (an instruction of a Q-Former too).
        axes: whether the picture's tokens have positions of height and width, and the text goes on behind the largest.
        instructs: whether picture tokens depend on the prompt.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    tail: tuple[int, ...]
    image_id: int
    eos: int
    bos: int
    axes: bool = False
    instructs: bool = False

    def trunk(self, grid: Grid = (SIDE, SIDE)) -> tuple[list[int], list[int], int]:
        """Ids and positions of the beginning, and the position of what follows.

        >>> Layout((1,), (7,), (), 5, 2, 1).trunk((1, 3))
        ([1, 5, 5, 5, 7], [0, 1, 2, 3, 4], 5)
        >>> Layout((1,), (7,), (), 5, 2, 1, axes=True).trunk((1, 3))  # to the picture's, its row and column are added
        ([1, 5, 5, 5, 7], [0, 1, 1, 1, 4], 5)
        """
        count, at = grid[0] * grid[1], len(self.before)
        ids = [*self.before, *[self.image_id] * count, *self.after]
        inside, behind = ([at] * count, at + max(grid)) if self.axes else (list(range(at, at + count)), at + count)
        positions = [*range(at), *inside, *range(behind, behind + len(self.after))]
        return ids, positions, behind + len(self.after)
