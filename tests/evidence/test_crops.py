from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_modules.records import RecordError
from rv_edit.evidence import check_crops, cut

FACTS = ["The dog is red.", "Dogs\nguard houses."]


def test_crops_are_rounded_outwards_and_deduplicated() -> None:
    given_crops = {1: ((0.2, 0.9, 3.1, 4.0), (0, 0, 4, 4), (1, 1, 2, 2)), 0: ()}
    assert check_crops(given_crops, FACTS, (10, 8), "e1") == {1: ((0, 0, 4, 4), (1, 1, 2, 2))}


@given(st.tuples(*[st.floats(0, 1)] * 4))
def test_any_crop_inside_gives_at_least_a_pixel_inside(corners: tuple[float, float, float, float]) -> None:
    left, right = sorted(corners[:2])
    top, bottom = sorted(corners[2:])
    box = (left * 13, top * 7, right * 13, bottom * 7)
    if box[0] == box[2] or box[1] == box[3]:
        return
    ((found,),) = check_crops({0: [box]}, FACTS, (13, 7), "e1").values()
    assert 0 <= found[0] < found[2] <= 13
    assert 0 <= found[1] < found[3] <= 7
    assert found[0] <= box[0] <= box[2] <= found[2]


@pytest.mark.parametrize(
    ("crop", "word"),
    [
        ((0, 0, 11, 8), "outside"),
        ((-0.5, 0, 4, 4), "outside"),
        ((0, 0, 4, 8.001), "outside"),
        ((4, 4, 4, 6), "empty"),
        ((5, 4, 4, 6), "empty"),
        ((0, 0, math.nan, 4), "not finite"),
        ((0, 0, math.inf, 4), "not finite"),
        ((0, 0, 4), "four numbers"),
        ((0, 0, 4, "wide"), "four numbers"),
        (None, "four numbers"),
    ],
)
def test_unusable_crops_name_edit_and_fact_on_one_line(crop: Any, word: str) -> None:
    with pytest.raises(RecordError, match=word) as caught:
        check_crops({1: [crop]}, FACTS, (10, 8), "e7")
    message = str(caught.value)
    assert "\n" not in message
    assert "edit e7, fact 1 (Dogs guard houses.)" in message


@pytest.mark.parametrize("index", [2, -1, "0", True])
def test_crops_for_a_fact_that_is_not_there(index: Any) -> None:
    with pytest.raises(RecordError, match="edit e7: crops for fact"):
        check_crops({index: [(0, 0, 1, 1)]}, FACTS, (10, 8), "e7")


def test_cut_takes_the_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    part = cut(Image.fromarray(pixels), (2, 1, 7, 5))
    assert np.array_equal(np.asarray(part), pixels[1:5, 2:7])
    assert cut(Image.fromarray(pixels).convert("L"), (0, 0, 1, 1)).mode == "RGB"
