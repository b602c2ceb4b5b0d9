"""The map of keys that are kept in 8 bits is that of the keys, not of their bytes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rv_edit.api.mapping import draw_map
from rv_edit.codebook import Codebook


def test_packed_keys_lie_where_the_keys_lie() -> None:
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(40, 70, generator=generator)
    keys[:, 0] *= 10  # so that rounding cannot turn the plane
    keys[:, 1] *= 5
    maps = []
    for bits in (16, 8):
        book = Codebook(70, merge="off", key_bits=bits)
        book.insert("e", keys, [f"Fact {row}." for row in range(40)], [0.1] * 40, ["reasoning"] * 40)
        state: Any = SimpleNamespace(editor=SimpleNamespace(codebook=book), version=3)
        maps.append(draw_map(state, 30))
    wide, packed = maps
    assert packed.plane.centre.shape == (70,) and packed.left_out == wide.left_out == 10
    for one, other in zip(wide.points, packed.points, strict=True):
        assert (one.key, one.facts) == (other.key, other.facts)
        assert (other.x, other.y) == pytest.approx((one.x, one.y), abs=0.5)
