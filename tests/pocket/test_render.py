"""The renderer against plain numpy: determinism, cells, recognisability at the model's size, hiding."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from io import BytesIO
from random import Random

import numpy as np
import pytest
from PIL import Image

from rv_edit.pocket.backgrounds import GROUNDS
from rv_edit.pocket.drawing.palette import CHECK, LIGHT, PAINT, STRIPE
from rv_edit.pocket.render import render, render_png
from rv_edit.pocket.scene import COLOURS, KINDS, LIGHTS, PLACES, SIZES, TEXTURES, Scene, Thing, random_scene
from rv_edit.pocket.sprites import DRAWINGS, sprites

CELL = 48
DIGEST = """
import hashlib
from random import Random
from rv_edit.pocket.render import render
from rv_edit.pocket.scene import random_scene
pictures = [render(random_scene(Random(i), hidden=0.5)).tobytes() for i in ORDER]
print(hashlib.sha256(b"".join(sorted(pictures))).hexdigest())
"""


def board(kinds, colour=0, texture="plain", size="large", place="snow", light="day", seed=0, hidden=False):
    """Up to nine things, one a cell."""
    things = tuple(
        Thing(kind, COLOURS[(colour + i) % 8], texture, size, i // 3, i % 3, hidden) for i, kind in enumerate(kinds)
    )
    return Scene(things, place, light, seed)


def cells(scene, size=144):
    """Array (things, size / 3, size / 3, 3) of the crops of a scene's things, as the model sees them."""
    picture = render(scene).resize((size, size), Image.Resampling.BILINEAR) if size != 144 else render(scene)
    pixels, side = np.asarray(picture, np.float64), size // 3
    return np.stack([pixels[t.row * side :, t.col * side :][:side, :side] for t in scene.things])


def test_every_word_of_the_world_can_be_drawn():
    assert set(DRAWINGS) == set(KINDS)
    assert set(GROUNDS) == set(PLACES)
    assert set(LIGHT) == set(LIGHTS)
    assert set(PAINT) == set(STRIPE) == set(CHECK) == set(COLOURS)


def test_same_pixels_in_every_process_and_order():
    digests = set()
    for hash_seed, order in (("1", "range(12)"), ("2", "reversed(range(12))")):
        run = subprocess.run(
            [sys.executable, "-c", DIGEST.replace("ORDER", order)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(run.stdout.strip())
    here = sorted(render(random_scene(Random(i), hidden=0.5)).tobytes() for i in range(12))
    assert digests == {hashlib.sha256(b"".join(here)).hexdigest()}


def test_png_holds_the_same_pixels():
    scene = random_scene(Random(5))
    assert np.array_equal(np.asarray(Image.open(BytesIO(render_png(scene)))), np.asarray(render(scene)))


def test_seed_changes_the_accidents_only():
    scene = board(["mug"])
    first, other = (np.asarray(render(scene.redrawn(seed)), float) for seed in (1, 2))
    assert (first != other).mean() > 0.2
    # Another seed is a smaller step than another place.
    elsewhere = np.asarray(render(Scene(scene.things, "street", "day", 1)), float)
    assert np.abs(first - other).mean() < 0.5 * np.abs(first - elsewhere).mean()


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_a_thing_never_leaves_its_cell(size, hidden):
    for index, kind in enumerate(KINDS):
        cell = (index % 3, index // 3 % 3)
        thing = Thing(kind, COLOURS[index % 8], "dotted", size, *cell, hidden=hidden)
        for seed in range(3):
            bare = np.asarray(render(Scene((), "table", "dusk", seed)))
            drawn = np.asarray(render(Scene((thing,), "table", "dusk", seed)))
            changed = (bare != drawn).any(axis=2)
            rows, cols = (slice(i * CELL, (i + 1) * CELL) for i in cell)
            inside = changed[rows, cols].sum()
            assert changed.sum() == inside > 100


@pytest.mark.parametrize("hidden", [False, True])
def test_nothing_is_cut_off_at_the_border_of_a_cell(hidden):
    for kind in KINDS:
        for size, low, high in (("small", 26, 34), ("large", 40, 47)):
            for sprite in sprites(kind, "red", "plain", size, hidden, 1.0):
                alpha = np.asarray(sprite.image)[..., 3]
                assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) <= 8
                left, top, right, bottom = sprite.box
                assert low <= max(right - left, bottom - top) <= high


def test_other_things_do_not_move_a_thing():
    pair = board(["mug", "lamp"])
    alone = Scene(pair.things[:1], pair.place, pair.light, pair.seed)
    assert np.array_equal(cells(pair)[0], cells(alone)[0])


def shape_of(crop):
    """Where a crop differs from its own ground, 24 x 24 at the model's size, centred and of unit length."""
    rim = np.concatenate([crop[0], crop[-1], crop[:, 0], crop[:, -1]])
    weight = np.minimum(np.abs(crop - np.median(rim, axis=0)).sum(axis=2), 120.0)
    rows, cols = (np.arange(24) @ weight.sum(axis=axis) / weight.sum() for axis in (1, 0))
    weight = np.roll(weight, (round(11.5 - rows), round(11.5 - cols)), (0, 1)).ravel()
    return weight / np.linalg.norm(weight)


def shapes(seeds, size="large", hidden=False, place="snow"):
    """Shapes (n, 576) and kinds (n,) of all kinds in changing colours."""
    features, labels = [], []
    for seed in seeds:
        for start in (0, 9, 11):
            scene = board(KINDS[start : start + 9], colour=seed, size=size, seed=seed, hidden=hidden, place=place)
            features += [shape_of(crop) for crop in cells(scene, 72)]
            labels += [KINDS.index(thing.kind) for thing in scene.things]
    return np.stack(features), np.array(labels)


def kind_accuracy(train, held_out):
    features, labels = train
    centroids = np.stack([features[labels == kind].mean(axis=0) for kind in range(len(KINDS))])
    tested, truth = held_out
    guess = ((tested[:, None] - centroids[None]) ** 2).sum(axis=2).argmin(axis=1)
    return (guess == truth).mean()


def test_kinds_are_told_apart_at_72_pixels():
    assert kind_accuracy(shapes(range(24)), shapes(range(100, 110))) >= 0.9


def test_small_kinds_are_told_apart_at_72_pixels():
    assert kind_accuracy(shapes(range(24), "small"), shapes(range(100, 110), "small")) >= 0.85


def test_the_bush_hides_the_kind():
    assert kind_accuracy(shapes(range(24)), shapes(range(100, 106), hidden=True)) < 0.15
    # Two hidden kinds with the same looks differ in no more than the gap between the leaves.
    for first, other in zip(KINDS, KINDS[1:], strict=False):
        a, b = (cells(board([kind], size="large", hidden=True, seed=3))[0] for kind in (first, other))
        assert (a != b).any(axis=2).mean() < 0.3


def test_the_bush_leaves_the_colour_to_be_seen():
    paints = np.asarray([PAINT[colour] for colour in COLOURS], float)
    right = 0
    for kind in KINDS:
        for index, colour in enumerate(COLOURS):
            scene = Scene((Thing(kind, colour, "plain", "large", 1, 1, True),), "snow", "day", 1)
            gap = cells(scene)[0][20:27, 18:30].reshape(-1, 3)
            nearest = np.abs(gap[:, None] - paints[None]).sum(axis=2).argmin(axis=1)
            right += np.bincount(nearest, minlength=8).argmax() == index
    assert right / (len(KINDS) * len(COLOURS)) >= 0.9


@pytest.mark.parametrize("light", LIGHTS)
def test_colours_stay_apart_in_every_light(light):
    means = []
    for colour in COLOURS:
        scene = Scene((Thing("ball", colour, "plain", "large", 1, 1),), "street", light, 4)
        means.append(np.median(cells(scene)[0][16:32, 16:32].reshape(-1, 3), axis=0))
    means = np.stack(means)
    gaps = np.linalg.norm(means[:, None] - means[None], axis=2) + 1e9 * np.eye(8)
    assert gaps.min() > 30


@pytest.mark.parametrize("size", SIZES)
def test_textures_differ_at_72_pixels(size):
    for kind in KINDS:
        crops = [cells(board([kind], colour=4, texture=texture, size=size), 72)[0] for texture in TEXTURES]
        for i, first in enumerate(crops):
            for other in crops[i + 1 :]:
                assert (np.abs(first - other).max(axis=2) > 24).sum() > 12, kind


def test_places_and_lights_change_the_picture():
    pictures = [np.asarray(render(Scene((), p, light, 0)), float) for p in PLACES for light in LIGHTS]
    for i, first in enumerate(pictures):
        assert all(np.abs(first - other).mean() > 8 for other in pictures[i + 1 :])


@pytest.mark.parametrize("side", [48, 72, 288])
def test_other_sizes_show_the_same_picture(side):
    scene = random_scene(Random(2), 3)
    picture = render(scene, side)
    assert picture.size == (side, side)
    small = [np.asarray(p.resize((24, 24), Image.Resampling.BOX), float) for p in (picture, render(scene))]
    assert np.abs(small[0] - small[1]).mean() < 12


@pytest.mark.parametrize("side", [0, 30, 100, 145])
def test_a_side_without_whole_cells_is_refused(side):
    with pytest.raises(ValueError, match="multiple of 3"):
        render(board(["mug"]), side)
