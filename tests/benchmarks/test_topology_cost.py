"""The two ways of measuring give the same on a tiny model, and a wrong value is noticed."""

from __future__ import annotations

import argparse

import pytest
import torch

from benchmarks import topology_cost


def arguments(options: list[str], **other: object) -> argparse.Namespace:
    more = ["task.anchors=2", "task.around=2", "task.figures=null"]
    given = {"model": "pocket_llava", "dataset": "pocket_aokvqa", "pairs": 4, "networks": 2, "nodes": 3, "graphs": 2}
    return argparse.Namespace(**{**given, "tolerance": 1e-4, "overrides": [*options, *more], **other})


def without_cache(options: list[str]) -> list[str]:
    return [item for item in options if not item.startswith("cache=")]


def test_both_ways_agree_and_are_timed(tiny_options: list[str]) -> None:
    args = arguments(without_cache(tiny_options))
    assert topology_cost.check_small(args) < 1e-4
    found = topology_cost.compare(args)
    sample = found["plain_sample"]
    assert (found["nodes"], found["layers"]) == (4 * 4 + 4 * 3 + 4 * 2 * 2, 6)
    assert (sample["forward_passes"], sample["of"]) == (3 * 6, 2 * 44 * 6)
    expected = sample["of"] * sample["seconds_each"] + 2 * 6 * 2 * sample["seconds_each_network"]
    assert found["plain_seconds_extrapolated"] == pytest.approx(expected)
    assert found["ratio"] == pytest.approx(expected / found["ours_seconds"])


def test_a_wrong_value_is_noticed(tiny_options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = topology_cost.measure

    def wrong(*args: object) -> tuple[torch.Tensor, float]:
        found, seconds = real(*args)  # type: ignore[arg-type]
        return found + 1e-3, seconds

    monkeypatch.setattr(topology_cost, "measure", wrong)
    with pytest.raises(AssertionError, match="differ by 0.001"):
        topology_cost.check_small(arguments(without_cache(tiny_options)))
