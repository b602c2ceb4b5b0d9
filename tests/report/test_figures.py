"""Figures show the numbers of their tables; pictures of networks keep near nodes near and hide none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rv_edit.report import ReportError
from rv_edit.report.figures import (
    Panel,
    balance_figure,
    cost_figure,
    criterion_figure,
    keys_figure,
    layers_figure,
    network_figure,
    network_rows,
    positions,
    radar_figure,
    save_figure,
    sizes_figure,
)
from rv_edit.report.figures.networks import nearest_edges

NAMES = ("vision_modularity", "language_modularity", "bimodal_modularity", "vision_bias", "language_bias")
LAYERS = [("vision", 0), ("vision", 1), ("merger", 0), ("language", 0), ("language", 1)]


def measured(seed: int, told: bool = True) -> dict[str, Any]:
    values = np.random.default_rng(seed).uniform(-0.3, 0.8, 5)
    row: dict[str, Any] = {}
    for name, value in zip(NAMES, values, strict=True):
        known = told or name != "language_bias"
        row |= {f"{name}_mean": float(value) if known else None, f"{name}_std": 0.1 if known else None}
    return row


def layer_rows(told: bool = True) -> list[dict[str, Any]]:
    return [
        {"block": block, "index": index, "pooling": pooling, **measured(10 * place + which, told)}
        for place, (block, index) in enumerate(LAYERS)
        for which, pooling in enumerate(("mean", "last"))
    ]


def lines(axes: Any) -> dict[str, list[float]]:
    return {line.get_label(): [float(y) for y in line.get_ydata()] for line in axes.get_lines()}


def test_layers_show_every_measure_of_every_layer() -> None:
    rows = layer_rows()
    figure = layers_figure(rows, "tiny", chosen=1)
    above_last, above_mean, below_last, below_mean = figure.axes
    for axes, pooling, labels in (
        (above_last, "last", {"vision bias": "vision_bias", "language bias": "language_bias"}),
        (above_mean, "mean", {"vision bias": "vision_bias", "language bias": "language_bias"}),
        (below_last, "last", {"vision $Q_V$": NAMES[0], "language $Q_L$": NAMES[1], "bimodal $Q_B$": NAMES[2]}),
        (below_mean, "mean", {"vision $Q_V$": NAMES[0], "language $Q_L$": NAMES[1], "bimodal $Q_B$": NAMES[2]}),
    ):
        shown = lines(axes)
        for label, name in labels.items():
            assert shown[label] == [row[f"{name}_mean"] for row in rows if row["pooling"] == pooling]
    assert [tick.get_text() for tick in below_mean.get_xticklabels()] == ["V0", "V1", "M0", "L0", "L1"]
    dotted = [line for line in below_mean.get_lines() if line.get_linestyle() == ":"]
    assert [list(line.get_xdata()) for line in dotted] == [[1, 1]]


def test_a_measure_that_cannot_be_told_is_left_out() -> None:
    shown = lines(layers_figure(layer_rows(told=False), "tiny").axes[1])
    assert "vision bias" in shown and "language bias" not in shown


def test_balance_shows_the_trade_off_and_the_choice() -> None:
    rows = [{"lam": lam, "harmonic_mean": lam / 10, **measured(place)} for place, lam in enumerate((0.1, 1.0, 10.0))]
    left, right = balance_figure(rows, "tiny", chosen=1.0).axes
    assert lines(left)["harmonic mean of $Q_V$ and $Q_L$"] == [0.01, 0.1, 1.0]
    assert lines(left)["language $Q_L$"] == [row["language_modularity_mean"] for row in rows]
    assert lines(right)["vision bias"] == [row["vision_bias_mean"] for row in rows]
    assert left.get_xscale() == "log" and "λ* = 1" in lines(left)
    assert not any("λ*" in label for label in lines(balance_figure(rows, "tiny").axes[0]))


def test_sizes_show_variance_over_networks() -> None:
    rows = [{"pairs": pairs, **row} for pairs in (3, 5) for row in layer_rows()]
    for row in rows:
        row["vision_modularity_std"] = 0.2 / row["pairs"]
    below = sizes_figure(rows, "tiny").axes[3]
    np.testing.assert_allclose(lines(below)["mean over layers"], [(0.2 / 3) ** 2, (0.2 / 5) ** 2])


def test_keys_show_means_with_their_intervals() -> None:
    rows = [
        {"keys": keys, "suite": suite, "mean": mean, "low": mean - 0.1, "high": mean + 0.05}
        for keys, mean in (("dual", 0.8), ("vision", 0.5))
        for suite in ("Acc", "Loc")
    ]
    rows.append({"keys": "vision", "suite": "CoE-Gen", "mean": None, "low": None, "high": None})
    (axes,) = keys_figure(rows, "tiny").axes
    assert [bar.get_height() for bar in axes.patches] == [0.8, 0.8, 0.5, 0.5]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["Acc", "Loc", "CoE-Gen"]


def groups(count: int = 3, size: int = 8, width: float = 0.05) -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(count, 5))
    points = np.repeat(centres, size, axis=0) + width * generator.normal(size=(count * size, 5))
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))


@pytest.mark.parametrize("width", [0.05, 0.0])
def test_groups_stay_together_and_no_node_hides_another(width: float) -> None:
    distances = groups(width=width)
    places = positions(distances, neighbours=7)
    owner = np.arange(24) // 8
    apart = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=2)) + 9 * np.eye(24)
    assert (owner[apart.argmin(axis=1)] == owner).all()
    inside = max(apart[owner == group][:, owner == group][~np.eye(8, dtype=bool)].max() for group in range(3))
    between = min(apart[owner == one][:, owner == other].min() for one, other in ((0, 1), (0, 2), (1, 2)))
    assert 2 * inside < between  # each group is a patch
    assert apart.min() > 0.06 and float(np.abs(places).max()) == pytest.approx(1.0)
    np.testing.assert_array_equal(places, positions(1000 * distances, neighbours=7))  # neither unit nor run matters


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_few_nodes_have_places_too(nodes: int) -> None:
    places = positions(np.ones((nodes, nodes)) - np.eye(nodes), neighbours=6)
    assert places.shape == (nodes, 2) and np.isfinite(places).all()


def test_edges_join_nearest_nodes() -> None:
    distances = np.abs(np.subtract.outer([0.0, 1.0, 3.0, 7.0], [0.0, 1.0, 3.0, 7.0]))
    assert nearest_edges(distances, 1) == [(0, 1), (1, 2), (2, 3)]
    assert len(nearest_edges(distances, 9)) == 6 and nearest_edges(distances, 0) == []


def panel(title: str = "λ = 1\nQ") -> Panel:
    distances = groups(2, 4)
    return Panel(title, distances, [0] * 4 + [1] * 4, [0, 1] * 4, [False] * 6 + [True] * 2, positions(distances, 3))


def test_a_network_is_drawn_by_picture_and_by_text_at_the_same_places() -> None:
    made = panel()
    upper, lower = network_figure([made], "tiny", edges=2).axes
    for axes, owner in ((upper, made.images), (lower, made.texts)):
        dots = axes.collections[1]
        np.testing.assert_allclose(dots.get_offsets(), made.places)
        colours = [tuple(colour) for colour in dots.get_facecolors()]
        assert len(set(colours)) == 2
        assert all((colours[a] == colours[b]) == (owner[a] == owner[b]) for a in range(8) for b in range(8))
    rows = network_rows([made])
    assert [(row["picture"], row["text"], row["variant"]) for row in rows] == list(
        zip(made.images, made.texts, map(int, made.variants), strict=True)
    )
    assert {row["panel"] for row in rows} == {"λ = 1, Q"} and rows[3]["x"] == made.places[3, 0]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = network_figure([panel()], "tiny", edges=2)
    path = save_figure(figure, tmp_path / "deep" / "a.png")
    before = path.read_bytes()
    with Image.open(path) as picture:
        assert picture.format == "PNG" and min(picture.size) > 300
    assert save_figure(network_figure([panel()], "tiny", edges=2), path).read_bytes() == before

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ReportError, match=r"a\.png: cannot be written .No space"):
        save_figure(figure, path)
    assert path.read_bytes() == before and os.listdir(path.parent) == ["a.png"]


def editor_rows() -> list[dict[str, Any]]:
    """Two editors on a model and data set; the second was not asked one suite, and the paper does not have it."""
    return [
        {"editor": editor, "model": "m", "dataset": "d", "suite": suite, "mean": mean, "paper": paper, "low": 0.1,
         "high": 0.9, "seconds_per_edit": seconds}
        for editor, seconds, paper in (("FT", 0.5, 0.6), ("Own-COT", 2.0, None))
        for suite, mean in (("a", 0.2), ("b", 0.4), ("c", None if seconds == 2.0 else 0.6), ("d", 0.8))
    ]  # fmt: skip


def test_radars_close_and_leave_out_what_was_not_asked() -> None:
    figure = radar_figure(editor_rows(), [(name, name.upper()) for name in "abcd"], "tiny")
    ft, own = figure.axes[:2]
    assert [axes.get_title() for axes in (ft, own)] == ["FT", "Own-COT"]
    drawn = [[float(y) for y in line.get_ydata()] for line in ft.get_lines() if len(line.get_ydata())]
    assert drawn == [[0.2, 0.4, 0.6, 0.8, 0.2], [0.6] * 5]
    assert [[float(y) for y in line.get_ydata()] for line in own.get_lines()] == [[0.2, 0.4, 0.8, 0.2]]
    two = [row for row in editor_rows() if row["suite"] in "ab"]
    assert len(radar_figure(two, [("a", "A"), ("b", "B")], "").axes[1].get_lines()) == 0


def test_costs_stand_at_their_seconds_and_unknown_ones_nowhere() -> None:
    rows = [row for row in editor_rows() if row["suite"] == "d"] + [{**editor_rows()[0], "seconds_per_edit": None}]
    (axes,) = cost_figure(rows, "tiny").axes
    places = [container[0].get_xydata().tolist() for container in axes.containers]
    assert places == [[[0.5, 0.8]], [[2.0, 0.8]]]
    assert axes.get_xscale() == "log" and axes.containers[1][0].get_markerfacecolor() == "white"
    assert cost_figure([], "nothing").axes[0].containers == []


def test_criterion_shows_every_key_space_against_both_criteria() -> None:
    rows: list[dict[str, Any]] = [
        {"layer": layer, "lam": lam, "harmonic_mean": 0.1 * lam, "bimodal_modularity": -layer, "mean_of_suites": mean}
        for layer, lam, mean in ((0, 2.0, 0.9), (0, 1.0, 0.8), (3, 1.0, 0.7))
    ]
    harmonic, bimodal = criterion_figure(rows, "tiny").axes
    for axes, first in ((harmonic, [(0.1, 0.8), (0.2, 0.9)]), (bimodal, [(0.0, 0.8), (0.0, 0.9)])):
        shown = [np.asarray(points.get_offsets()).tolist() for points in axes.collections]
        assert np.allclose(shown[0], first)  # in the order of λ, not of the rows
        assert len(shown) == 2
        small, large = axes.collections[0].get_sizes()
        assert small < large  # as the legend says
