"""Pack a group into one sequence: the picture once, its statements once, every question a branch of its own.

A branch sees the picture, its own context and itself, at the positions it would have alone, so training
on a packed lesson is exactly training on separate prompts, at a fraction of the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from rv_edit.pocket.training.contexts import SORTS, Group
from rv_edit.pocket.training.layout import Grid, Layout
from rv_edit.pocket.training.oracle import SIDE


class Speller:
    """Word by word tokenisation with a cache (pieces never cross spaces).

    Args:
        tokenizer: one whose pieces start at a space.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._words: dict[str, list[int]] = {}

    def __call__(self, text: str) -> list[int]:
        """Token ids of a text, no special tokens."""
        ids: list[int] = []
        for word in text.split():
            found = self._words.get(word)
            if found is None:
                found = self._tokenizer(word, add_special_tokens=False, split_special_tokens=True).input_ids
                if len(self._words) < 100_000:
                    self._words[word] = found
            ids += found
        return ids


@dataclass
class Packed:
    """A batch: ids, positions, labels, weights (B, T), what each token may see (B, T, T), whose picture (B,).

    Where positions have axes, they are (3, B, T): time, height, width. ``instructions`` are what a Q-Former reads of
    each row: the prompt of one of its questions, since all of them share the picture's tokens.

    ``about`` (n, 4) lists the last tokens of prompts that speak of one thing: row, column, cell, kind.
    ``spans`` (m, 4) lists the targets: row, first column, column after the last, index of the sort in ``SORTS``.
    """

    ids: Tensor
    positions: Tensor
    labels: Tensor
    weights: Tensor
    sees: Tensor
    owner: Tensor
    about: Tensor
    spans: Tensor
    instructions: list[list[int]]


@dataclass
class Flat:
    """One packed group as plain lists; ``branch[i]`` and ``parent[branch]`` give the tree.

    ``picture`` is where the picture's tokens begin, and their grid.
    """

    ids: list[int]
    positions: list[int]
    labels: list[int]
    weights: list[float]
    branch: list[int]
    parent: list[int]
    picture: tuple[int, Grid]
    about: list[tuple[int, int, int]] = field(default_factory=list)
    spans: list[tuple[int, int, int]] = field(default_factory=list)
    instruction: list[int] = field(default_factory=list)


def flatten(group: Group, spell: Speller, layout: Layout, grid: Grid = (SIDE, SIDE)) -> Flat:
    """Lay a group out as a tree: picture, statements, then a branch a question."""
    ids, positions, start = layout.trunk(grid)
    n = len(ids)
    picture = len(layout.before), grid
    flat = Flat(ids, positions, [-100] * n, [0.0] * n, [0] * n, [-1], picture)

    def add(ids: list[int], parent: int, start: int, n_answer: int = 0) -> int:
        flat.parent.append(parent)
        branch = len(flat.parent) - 1
        flat.ids += ids
        flat.positions += range(start, start + len(ids))
        keep = len(ids) - n_answer
        flat.labels += [-100] * keep + ids[keep:]
        flat.weights += [0.0] * keep + [1.0 / max(n_answer, 1) ** 0.5] * n_answer
        flat.branch += [branch] * len(ids)
        return branch

    parent = 0
    context = spell(" ".join(group.statements))
    if group.statements:
        parent = add(context, 0, start)
        start += len(context)
    if layout.instructs:
        one = spell(group.items[len(context) % len(group.items)].question)  # any of them
        flat.instruction = [layout.bos, *layout.after[1:], *context, *one, *layout.tail]
    for question, answer, sort, cell, kind in group.items:
        target = [*spell(answer), layout.eos]
        add([*spell(question), *layout.tail, *target], parent, start, len(target))
        flat.spans.append((len(flat.ids) - len(target), len(flat.ids), SORTS.index(sort)))
        if cell >= 0:
            flat.about.append((len(flat.ids) - len(target) - 1, cell, kind))
    return flat


def collate(flats: list[Flat], owners: list[int], pad: int, axes: bool = False) -> Packed:
    """Right-pad groups into a batch; ``owners`` are the indices of their pictures, ``axes`` as in :class:`Layout`."""
    size, length = len(flats), max(len(flat.ids) for flat in flats)
    ids, positions = torch.full((size, length), pad), torch.zeros(size, length, dtype=torch.long)
    labels, weights = torch.full((size, length), -100), torch.zeros(size, length)
    sees = torch.zeros(size, length, length, dtype=torch.bool)
    for row, flat in enumerate(flats):
        n = len(flat.ids)
        ids[row, :n], positions[row, :n] = torch.tensor(flat.ids), torch.tensor(flat.positions)
        labels[row, :n], weights[row, :n] = torch.tensor(flat.labels), torch.tensor(flat.weights)
        ancestors = torch.eye(len(flat.parent), dtype=torch.bool)
        for branch, parent in enumerate(flat.parent):
            if parent >= 0:
                ancestors[branch] |= ancestors[parent]
        branch_of = torch.tensor(flat.branch)
        sees[row, :n, :n] = ancestors[branch_of][:, branch_of].tril()
        sees[row, range(n, length), range(n, length)] = True  # padding sees itself: no empty softmax
    about = [(row, *one) for row, flat in enumerate(flats) for one in flat.about]
    spans = [(row, *one) for row, flat in enumerate(flats) for one in flat.spans]
    if axes:
        positions = positions.repeat(3, 1, 1)
        for row, flat in enumerate(flats):
            at, (rows, cols) = flat.picture
            cells = torch.arange(rows * cols)
            positions[1, row, at : at + rows * cols] += cells // cols
            positions[2, row, at : at + rows * cols] += cells % cols
    things, targets = (torch.tensor(lines, dtype=torch.long).reshape(-1, 4) for lines in (about, spans))
    instructions = [flat.instruction for flat in flats]
    return Packed(ids, positions, labels, weights, sees, torch.tensor(owners), things, targets, instructions)
