from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from rv_edit.augment import ImageAugmenter, RadiusEstimator, item_seed
from rv_edit.embedding import DualEmbedding, KeySpace, TextEncoder
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM

TEXTS = ["What is the dog used for?", "The cup is red.", "The dog is blue."]
ITEMS = ["edit/question", "edit/0/a", "edit/1/b"]


def pictures(count: int) -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    return [Image.fromarray(picture).resize((48, 36), Image.Resampling.BICUBIC) for picture in pixels]


@pytest.fixture(scope="module")
def dual(vlm: VLM, encoder: TextEncoder) -> DualEmbedding:
    return DualEmbedding(vlm, encoder, KeySpace(layer=1, lam=0.5, vision_norm=5.0, text_norm=1.0))


@pytest.fixture(scope="module")
def augmenter() -> ImageAugmenter:
    return ImageAugmenter(tile_pool=pictures(5)[3:])


def naive(
    dual: DualEmbedding, augmenter: ImageAugmenter, image: Image.Image, text: str, item: str, variants: int
) -> np.ndarray:
    """Distances by numpy, one picture and one variant at a time."""
    key = dual.keys([image], [text])[0].double().numpy()
    return np.array(
        [
            np.sqrt(
                ((dual.keys([augmenter(image, item_seed(0, item, turn))], [text])[0].double().numpy() - key) ** 2).sum()
            )
            for turn in range(variants)
        ]
    )


@pytest.mark.parametrize("variants", [1, 4, 5])
def test_radius_is_the_median_distance_to_the_variants(
    dual: DualEmbedding, augmenter: ImageAugmenter, variants: int
) -> None:
    images = pictures(3)
    found = RadiusEstimator(dual, augmenter, variants)(images, TEXTS, ITEMS)
    assert found.keys.shape == (3, dual.dim)
    assert found.distances.shape == (3, variants)
    torch.testing.assert_close(found.keys, dual.keys(images, TEXTS), atol=1e-5, rtol=0)
    for row, (image, text, item) in enumerate(zip(images, TEXTS, ITEMS, strict=True)):
        distances = naive(dual, augmenter, image, text, item, variants)
        np.testing.assert_allclose(found.distances[row].numpy(), distances, atol=1e-5)
        assert float(found.radii[row]) == pytest.approx(float(np.median(distances)), abs=1e-5)
        assert distances.min() > 1e-3  # the tiny model does see the augmentation


def test_one_vision_pass_for_all_and_one_set_of_variants_a_picture(
    dual: DualEmbedding, augmenter: ImageAugmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    embed = dual.vlm.embed_vision
    monkeypatch.setattr(
        dual.vlm, "embed_vision", lambda images, *rest: seen.append(len(images)) or embed(images, *rest)
    )
    one, two, _ = pictures(3)
    found = RadiusEstimator(dual, augmenter, 4)([one, two, two], TEXTS, ITEMS)
    assert seen == [2 + 2 * 4]
    # images alone vary: facts on one picture are equally far from its variants
    torch.testing.assert_close(found.distances[1], found.distances[2], atol=1e-6, rtol=0)


def test_known_features_save_the_pass_over_the_originals(
    dual: DualEmbedding, augmenter: ImageAugmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(3)
    estimate = RadiusEstimator(dual, augmenter, 4)
    expected = estimate(images, TEXTS, ITEMS)
    pooled = dual.vlm.encode_images(images, pool_layers=(1,)).pooled[1]
    seen: list[int] = []
    embed = dual.vlm.embed_vision
    monkeypatch.setattr(
        dual.vlm, "embed_vision", lambda images, *rest: seen.append(len(images)) or embed(images, *rest)
    )
    found = estimate(images, TEXTS, ITEMS, pooled)
    assert seen == [12]
    torch.testing.assert_close(found.radii, expected.radii, atol=1e-5, rtol=0)


def test_bytes_depend_on_the_edit_alone(dual: DualEmbedding, augmenter: ImageAugmenter) -> None:
    images = pictures(3)
    first = RadiusEstimator(dual, augmenter, 4)(images, TEXTS, ITEMS)
    estimate = RadiusEstimator(dual, augmenter, 4)
    estimate(images[::-1], ["another text", "and another", "a third"], ["x", "y", "z"])
    again = estimate(images, TEXTS, ITEMS)
    assert torch.equal(first.keys, again.keys)
    assert torch.equal(first.radii, again.radii)
    other = RadiusEstimator(dual, augmenter, 4, seed=1)(images, TEXTS, ITEMS)
    assert torch.equal(first.keys, other.keys)
    assert not torch.equal(first.radii, other.radii)


def test_a_paraphraser_moves_the_text_half(dual: DualEmbedding) -> None:
    still = ImageAugmenter(area=1.0, rotation=0.0, jitter=(0, 0, 0, 0))
    images = pictures(3)
    assert float(RadiusEstimator(dual, still, 4)(images, TEXTS, ITEMS).radii.max()) < 1e-5
    seeds: list[int] = []

    def paraphrase(text: str, seed: int) -> str:
        seeds.append(seed)
        return text + " right" * (len(seeds) % 4)

    found = RadiusEstimator(dual, still, 4, paraphrase)(images, TEXTS, ITEMS)
    assert len(set(seeds)) == 12
    for row, text in enumerate(TEXTS):
        wordings = [text + " right" * (turn % 4) for turn in range(1, 5)]
        half = dual.text_encoder.encode([text, *wordings]).double().numpy() * 0.5
        expected = np.median(np.linalg.norm(half[1:] - half[0], axis=1))
        assert float(found.radii[row]) == pytest.approx(float(expected), abs=1e-5)


def test_no_keys_and_unusable_input(dual: DualEmbedding, augmenter: ImageAugmenter) -> None:
    estimate = RadiusEstimator(dual, augmenter, 4)
    empty = estimate([], [], [])
    assert (empty.keys.shape, empty.radii.shape, empty.distances.shape) == ((0, dual.dim), (0,), (0, 4))
    with pytest.raises(ValueError, match="one of each"):
        estimate(pictures(1), TEXTS, ITEMS)
    with pytest.raises(ConfigError, match="variants=0"):
        RadiusEstimator(dual, augmenter, 0)
