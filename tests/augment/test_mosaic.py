from __future__ import annotations

import colorsys
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_modules.records import ImageRef, RecordError
from rv_edit.augment import ImageAugmenter, TilePool, item_seed
from rv_edit.augment.jitter import colour_jitter, shift_hue
from rv_edit.errors import ConfigError

STILL = {"rotation": 0.0, "jitter": (0.0, 0.0, 0.0, 0.0)}
GREEN = Image.new("RGB", (40, 30), (0, 255, 0))


def photo(width: int = 60, height: int = 40, seed: int = 0) -> Image.Image:
    """Smooth colours, like a photograph's."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("area", "size"), [(0.9, (200, 150)), (0.5, (120, 200)), (0.25, (100, 100))])
def test_the_picture_covers_the_stated_area(area: float, size: tuple[int, int]) -> None:
    augment = ImageAugmenter(area=area, noise_share=0.0, tile_pool=[GREEN], **STILL)
    for seed in range(5):
        pixels = np.asarray(augment(Image.new("RGB", size, (255, 0, 255)), seed))
        assert pixels.shape[:2] == size[::-1]
        assert (pixels[..., 0] > 127).mean() == pytest.approx(area, abs=0.015)


def test_it_lies_at_random_places_all_over_the_canvas() -> None:
    augment = ImageAugmenter(area=0.25, noise_share=0.0, tile_pool=[GREEN], **STILL)
    corners = []
    for seed in range(60):
        covered = np.asarray(augment(Image.new("RGB", (64, 64), (255, 0, 255)), seed))[..., 0] > 127
        corners.append((int(covered.any(0).argmax()), int(covered.any(1).argmax())))
    for places in zip(*corners, strict=True):
        # uniform over [0, 32]: both ends are met, and the mean is in the middle
        assert min(places) <= 3
        assert max(places) >= 29
        assert np.mean(places) == pytest.approx(16, abs=4)


def test_full_area_without_turning_is_the_picture_itself() -> None:
    image = photo()
    assert np.array_equal(np.asarray(ImageAugmenter(area=1.0, **STILL)(image, 3)), np.asarray(image))


def test_a_share_of_the_tiles_is_noise() -> None:
    # a tiny picture on a large canvas: nearly all tiles are seen; those of the pool are green without variance
    augment = ImageAugmenter(area=0.01, noise_share=0.2, tile_pool=[GREEN], **STILL)
    noisy = []
    for seed in range(60):
        pixels = np.asarray(augment(Image.new("RGB", (160, 160)), seed)).reshape(4, 40, 4, 40, 3).swapaxes(1, 2)
        noisy.append((pixels[..., 10:30, 10:30, 0].std(axis=(2, 3)) > 30).mean())
    assert np.mean(noisy) == pytest.approx(0.2, abs=0.05)


def test_turning_equals_a_naive_rotation() -> None:
    """Each pixel is looked up by hand on the turned canvas, nearest neighbour, on a smooth picture."""
    image = photo(90, 60, seed=4)
    augment = ImageAugmenter(area=1.0, rotation=30.0, jitter=(0, 0, 0, 0))
    turned = np.asarray(augment(image, 11)).astype(float)
    angle = math.radians(np.random.default_rng(11).uniform(-30, 30))
    source = np.asarray(image).astype(float)
    errors = []
    for y in range(60):
        for x in range(90):
            dx, dy = x + 0.5 - 45, y + 0.5 - 30
            u = math.cos(angle) * dx - math.sin(angle) * dy + 45
            v = math.sin(angle) * dx + math.cos(angle) * dy + 30
            if 2 < u < 88 and 2 < v < 58:
                errors.append(np.abs(turned[y, x] - source[int(v), int(u)]).max())
    assert len(errors) > 3000
    assert np.mean(errors) < 6
    assert abs(angle) > 0.1  # otherwise this would test nothing


def test_no_black_corners() -> None:
    augment = ImageAugmenter(rotation=10.0, jitter=(0, 0, 0, 0), noise_share=0.0, tile_pool=[GREEN])
    for seed in range(10):
        assert np.asarray(augment(Image.new("RGB", (80, 50), (255, 0, 255)), seed)).sum(axis=2).min() > 100


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 130), st.integers(1, 130), st.integers(0, 2**63 - 1), st.sampled_from(["RGB", "L", "RGBA", "P"]))
def test_any_size_any_seed_is_deterministic(width: int, height: int, seed: int, mode: str) -> None:
    image = photo(width, height).convert(mode)
    one = ImageAugmenter(tile_pool=[photo(seed=1), photo(seed=2)])
    one(photo(seed=9), 5)  # another item in between plays no part
    other = ImageAugmenter(tile_pool=[photo(seed=1), photo(seed=2)])
    first, second = one(image, seed), other(image, seed)
    assert first.size == image.size
    assert first.mode == "RGB"
    assert first.tobytes() == second.tobytes()


def test_seeds_and_tiles_matter() -> None:
    augment = ImageAugmenter(tile_pool=[photo(seed=1)])
    images = {augment(photo(), seed).tobytes() for seed in range(8)}
    assert len(images) == 8
    assert augment(photo(), 0).tobytes() != ImageAugmenter(tile_pool=[photo(seed=2)])(photo(), 0).tobytes()


def test_extreme_pictures() -> None:
    augment = ImageAugmenter(max_side=64)
    assert augment(Image.new("RGB", (1, 1)), 0).size == (1, 1)
    assert augment(Image.new("RGB", (1, 5000)), 0).size == (1, 64)
    assert augment(photo(640, 320), 0).size == (64, 32)


def test_tile_pool_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    photo(30, 20, 1).save(tmp_path / "a" / "b" / "one.PNG")
    photo(30, 20, 2).save(tmp_path / "two.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    pool = TilePool(tmp_path, max_side=16)
    assert len(pool) == 2
    tile = pool.tile((7, 5), np.random.default_rng(0))
    assert (tile.size, tile.mode) == ((7, 5), "RGB")
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    again = ImageAugmenter(tile_pool=moved)(photo(), 1).tobytes()
    references = [ImageRef.from_path(moved / "a" / "b" / "one.PNG"), ImageRef.from_path(moved / "two.jpg")]
    assert ImageAugmenter(tile_pool=references)(photo(), 1).tobytes() == again


def test_unusable_pools_and_options_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        TilePool(tmp_path / "none")
    with pytest.raises(ConfigError, match="no picture in it"):
        TilePool(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(RecordError):
        TilePool(tmp_path).tile((2, 2), np.random.default_rng(0))
    for option in (
        {"area": 0.0},
        {"area": 1.1},
        {"tiles": 0},
        {"noise_share": 2.0},
        {"rotation": -1.0},
        {"jitter": (0.1, 0.1)},
        {"jitter": (0.1, 0.1, 0.1, 0.9)},
    ):
        with pytest.raises(ConfigError, match=next(iter(option))) as caught:
            ImageAugmenter(**option)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(-0.5, 0.5))
def test_hue_shift_equals_colorsys(colour: tuple[int, int, int], share: float) -> None:
    got = shift_hue(Image.new("RGB", (1, 1), colour), share).getpixel((0, 0))
    hue, saturation, value = colorsys.rgb_to_hsv(*(level / 255 for level in colour))
    turned = colorsys.hsv_to_rgb((hue + round(share * 256) / 256) % 1.0, saturation, value)
    np.testing.assert_allclose(got, np.array(turned) * 255, atol=9)  # 8-bit hue and saturation in between


def test_jitter_stays_within_its_strength() -> None:
    grey = Image.new("RGB", (4, 4), (100, 100, 100))
    levels = {
        colour_jitter(grey, (0.1, 0.0, 0.0, 0.0), np.random.default_rng(seed)).getpixel((0, 0))[0] for seed in range(99)
    }
    assert min(levels) in range(90, 93)
    assert max(levels) in range(108, 111)
    strong = Image.new("RGB", (4, 4), (200, 50, 50))
    spread = [
        np.ptp(colour_jitter(strong, (0.0, 0.0, 0.5, 0.0), np.random.default_rng(seed)).getpixel((0, 0)))
        for seed in range(60)
    ]
    assert min(spread) == pytest.approx(75, abs=12)
    assert max(spread) >= 190
    assert colour_jitter(photo(), (0, 0, 0, 0), np.random.default_rng(1)).tobytes() == photo().tobytes()


def test_item_seeds_differ() -> None:
    seeds = {item_seed(edit, turn) for edit in ("a", "b", "ab") for turn in range(50)}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**63 for seed in seeds)
