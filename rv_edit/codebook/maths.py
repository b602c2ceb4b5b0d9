"""The formulas of the codebook (paper 3.2 and appendix C): pure functions of numbers and numpy arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MergeRule = Literal["either", "both", "off"]
Condition = Literal["overlap", "closeness", "both"]


def disc_overlap(distance: Floats, first: float | Floats, second: Floats) -> Floats:
    """Share of the *larger* disc that the intersection of two discs covers, so at least that of each.

    Args:
        distance: (n,) between the centres, >= 0.
        first: radius of the one disc, or (n,).
        second: (n,) radii of the other.

    Returns:
        (n,) in [0, 1]; 0 where a radius is 0, since a point has no area to cover.

    >>> disc_overlap(np.array([0.0, 2.0, 0.5]), 1.0, np.array([1.0, 1.0, 0.5])).round(4).tolist()
    [1.0, 0.0, 0.25]
    """
    d, a, b = np.broadcast_arrays(
        np.asarray(distance, np.float64), np.asarray(first, np.float64), np.asarray(second, np.float64)
    )
    small, large = np.minimum(a, b), np.maximum(a, b)
    share = np.zeros_like(d)
    # Next to nothing apart counts as concentric: the formula below divides by the distance.
    apart = np.maximum(large - small, 1e-12 * large)
    inside = (d <= apart) & (small > 0)
    share[inside] = (small[inside] / large[inside]) ** 2
    crossing = (d > apart) & (d < large + small) & (small > 0)
    d, a, b = d[crossing], small[crossing], large[crossing]
    # The two circular segments; rounding can push a cosine just past 1 where the circles touch.
    cos_a = np.clip((d * d + a * a - b * b) / (2 * d * a), -1.0, 1.0)
    cos_b = np.clip((d * d + b * b - a * a) / (2 * d * b), -1.0, 1.0)
    kite = np.sqrt(np.maximum((a + b - d) * (d + a - b) * (d - a + b) * (d + a + b), 0.0)) / 2
    lens = a * a * np.arccos(cos_a) + b * b * np.arccos(cos_b) - kite
    share[crossing] = np.clip(lens / (np.pi * b * b), 0.0, 1.0)
    return share


def merge_conditions(
    distance: Floats, radius: float, radii: Floats, overlap: float, closeness: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The paper's two conditions for a new key of ``radius`` and existing keys of ``radii`` (n,).

    Returns:
        two (n,) masks: the discs overlap by more than ``overlap`` of each; the centres are closer than
        ``closeness`` of each radius.
    """
    close = (distance < closeness * radius) & (distance < closeness * radii)
    return disc_overlap(distance, radius, radii) > overlap, close


def merge_target(
    distance: Floats,
    radius: float,
    radii: Floats,
    *,
    rule: MergeRule,
    overlap: float,
    closeness: float,
    has_room: Callable[[int], bool] = lambda _: True,
) -> tuple[int | None, Condition | None, bool]:
    """Which existing key a new key joins: the nearest that satisfies ``rule`` and has room for its sentence.

    Returns:
        its index (the lowest among equally near), which of the two conditions hold for it, and whether a
        nearer key was passed over for want of room; ``(None, None, …)`` where the new key stands alone.

    >>> merge_target(np.array([0.5, 0.05]), 1.0, np.ones(2), rule="either", overlap=0.9, closeness=0.1)
    (1, 'both', False)
    """
    if rule == "off" or not len(distance):
        return None, None, False
    # Discs that do not touch neither overlap nor, where closeness is at most 1, are close: most keys end here.
    touching = np.flatnonzero(distance <= max(1.0, closeness) * (radius + radii))
    lapping, close = merge_conditions(distance[touching], radius, radii[touching], overlap, closeness)
    candidates = np.flatnonzero(lapping & close if rule == "both" else lapping | close)
    passed_over = False
    for place in candidates[np.argsort(distance[touching[candidates]], kind="stable")].tolist():
        index = int(touching[place])
        if has_room(index):
            alone: Condition = "overlap" if lapping[place] else "closeness"
            return index, "both" if lapping[place] and close[place] else alone, passed_over
        passed_over = True
    return None, None, passed_over


def linear_percentile(order_statistic: Callable[[int], float], size: int, percent: float) -> float:
    """The ``percent``-th percentile, linear between order statistics (numpy's default).

    Args:
        order_statistic: r -> the r-th smallest value, r = 0 … size-1.
        size: number of values, >= 1.
        percent: 0 … 100.

    >>> linear_percentile([1.0, 2.0, 4.0].__getitem__, 3, 75)
    3.0
    """
    rank = percent / 100 * (size - 1)
    below, above = math.floor(rank), math.ceil(rank)
    low = order_statistic(below)
    return low if below == above else low + (order_statistic(above) - low) * (rank - below)


def passing_distance(distances: Floats, share: float) -> float:
    """The largest distance that at most ``share`` of ``distances`` reach (calibrated gate).

    Of m values exactly floor(share * m) are at or below it, fewer where the next value ties with them.

    >>> passing_distance(np.array([3.0, 1.0, 2.0, 4.0]), 0.5) < 3.0
    True
    """
    ordered = np.sort(distances)
    # 0.29 * 100 is 28.999… in binary: a share of m that is whole but for rounding counts as whole.
    passing = math.floor(share * len(ordered) + 1e-9)
    return math.inf if passing >= len(ordered) else float(np.nextafter(ordered[passing], -np.inf))
