"""The plane of a codebook's keys, against numpy's singular values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rv_edit.codebook.projection import plane


@pytest.mark.parametrize(("rows", "dim"), [(40, 7), (5, 30), (3, 3), (2, 9)])
def test_as_singular_values_have_it(rows: int, dim: int) -> None:
    keys = torch.from_numpy(np.random.default_rng(rows).normal(size=(rows, dim)) * np.arange(1, dim + 1)).half()
    found = plane(keys)
    spread = keys.double().numpy() - keys.double().numpy().mean(0)
    _, sizes, axes = np.linalg.svd(spread, full_matrices=False)
    shares = sizes**2 / (sizes**2).sum()
    np.testing.assert_allclose(found.shares, [*shares, 0.0][:2], atol=1e-9)
    placed = found.place(keys).numpy()
    for axis in range(min(2, rows - 1)):
        assert abs(abs(found.axes[axis].numpy() @ axes[axis]) - 1) < 1e-6
        np.testing.assert_allclose(np.abs(placed[:, axis]), np.abs(spread @ axes[axis]), atol=1e-6)


def test_the_same_plane_whatever_the_order() -> None:
    keys = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    mixed = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(plane(keys[mixed]).place(keys), plane(keys).place(keys))


def test_nothing_to_lay_out() -> None:
    for keys in (torch.zeros(0, 4), torch.ones(1, 4), torch.ones(5, 4)):
        found = plane(keys)
        assert found.shares == (0.0, 0.0) and found.place(keys).abs().sum() == 0
        assert found.place(torch.full((2, 4), 3.0)).shape == (2, 2)
    line = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    found = plane(line)
    assert found.shares[0] == pytest.approx(1) and found.shares[1] == 0
    assert found.place(line)[:, 1].abs().sum() == 0
