import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rv_edit.codebook.maths import disc_overlap, linear_percentile, merge_conditions, merge_target, passing_distance
from tests.codebook.streams import lens_by_integration

LENGTHS = st.floats(0.01, 10)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 20), LENGTHS, LENGTHS)
def test_overlap_is_the_area_of_the_lens_over_the_larger_disc(d, r1, r2):
    expected = lens_by_integration(d, r1, r2) / (np.pi * max(r1, r2) ** 2)
    assert disc_overlap(np.array([d]), r1, np.array([r2]))[0] == pytest.approx(expected, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 20), LENGTHS, LENGTHS, st.floats(0.1, 10))
def test_overlap_is_symmetric_and_free_of_scale(d, r1, r2, scale):
    first = disc_overlap(np.array([d]), r1, np.array([r2]))[0]
    assert disc_overlap(np.array([d]), r2, np.array([r1]))[0] == pytest.approx(first, abs=1e-7)
    assert disc_overlap(np.array([d * scale]), r1 * scale, np.array([r2 * scale]))[0] == pytest.approx(first, abs=1e-6)


def test_a_point_overlaps_nothing_and_touching_discs_do_not():
    assert disc_overlap(np.array([0.0, 0.0, 2.0, 3.0]), 1.0, np.array([0.0, 1.0, 1.0, 1.0])).tolist() == [0, 1, 0, 0]
    assert disc_overlap(np.array([0.0]), 0.0, np.array([0.0])).tolist() == [0]


def test_conditions_are_those_of_the_paper():
    # Equal discs cover 90 % of each other at d = 0.157 r; closeness asks for 0.1 of both radii.
    d, r = np.array([0.05, 0.12, 0.2, 0.05]), np.array([1.0, 1.0, 1.0, 0.4])
    overlapping, close = merge_conditions(d, 1.0, r, overlap=0.9, closeness=0.1)
    assert overlapping.tolist() == [True, True, False, False]
    assert close.tolist() == [True, False, False, False]
    # A small disc inside a large one covers little of it, but both centres may be close.
    overlapping, close = merge_conditions(np.array([0.01]), 1.0, np.array([0.5]), overlap=0.9, closeness=0.1)
    assert (overlapping[0], close[0]) == (False, True)


@pytest.mark.parametrize(
    ("rule", "expected"), [("either", (1, "overlap")), ("both", (0, "both")), ("off", (None, None))]
)
def test_target_is_the_nearest_that_satisfies_the_rule(rule, expected):
    d, radii = np.array([0.08, 0.05, 0.08]), np.array([1.0, 0.45, 1.0])
    target = merge_target(d, 1.0, radii, rule=rule, overlap=0.15, closeness=0.1)
    assert target == (*expected, False)


def test_target_ties_go_to_the_lower_index_and_full_keys_are_passed_over():
    rule = {"rule": "either", "overlap": 0.9, "closeness": 0.1}
    d, radii = np.array([0.05, 0.02, 0.02]), np.ones(3)
    assert merge_target(d, 1.0, radii, **rule)[0] == 1
    assert merge_target(d, 1.0, radii, **rule, has_room=lambda i: i != 1) == (2, "both", True)
    assert merge_target(d, 1.0, radii, **rule, has_room=lambda _: False) == (None, None, True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.floats(0, 100))
def test_percentile_is_numpys(values, percent):
    ordered = sorted(values)
    found = linear_percentile(ordered.__getitem__, len(ordered), percent)
    assert found == pytest.approx(np.percentile(values, percent), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=200), st.floats(0, 0.99))
def test_no_more_than_the_share_passes_and_the_next_value_would_be_one_too_many(values, share):
    d = np.array(values)
    threshold = passing_distance(d, share)
    passing = int((d <= threshold).sum())
    assert passing <= share * len(d) + 1e-6
    assert (d <= np.sort(d)[passing]).sum() > share * len(d) - 1e-6


def test_a_whole_share_is_not_lost_to_rounding():
    assert (np.arange(100.0) <= passing_distance(np.arange(100.0), 0.29)).sum() == 29
