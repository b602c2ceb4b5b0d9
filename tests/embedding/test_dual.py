from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules.records import ImageRef, RecordError
from rv_edit.embedding import DualEmbedding, KeySpace, TextEncoder, calibrate
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, load_vlm
from tests.vlm.tiny_llava import build

SPACE = KeySpace(layer=1, lam=0.7, vision_norm=5.0, text_norm=2.0)
TEXTS = ["What is the dog used for?", "The cup is red.", "What is the dog used for?"]


def pictures(count: int = 3, size: tuple[int, int] = (40, 30)) -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, size[1], size[0], 3), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in pixels]


def naive_vision(vlm: VLM, image: Image.Image, layer: int) -> np.ndarray:
    """Mean over the tokens of one block, from a plain pass of the stock tower; its input is ``hidden_states[0]``."""
    pixels = vlm.processor.image_processor(images=[image], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        states = vlm.model.get_encoder("image")(pixels, output_hidden_states=True).hidden_states
    return states[layer + 1][0].double().numpy().mean(0)


@pytest.fixture(scope="module")
def dual(vlm: VLM, encoder: TextEncoder) -> DualEmbedding:
    return DualEmbedding(vlm, encoder, SPACE)


def test_a_key_is_the_two_scaled_halves(dual: DualEmbedding, vlm: VLM, encoder: TextEncoder) -> None:
    images = pictures()
    keys = dual.keys(images, TEXTS)
    assert keys.shape == (3, dual.dim) == (3, vlm.vision_dim + encoder.dim)
    assert keys.dtype == torch.float32
    for key, image, text in zip(keys.numpy(), images, TEXTS, strict=True):
        half = encoder.encode([text])[0].double().numpy()
        expected = np.concatenate([naive_vision(vlm, image, 1) / 5.0, 0.7 * half / 2.0])
        np.testing.assert_allclose(key, expected, atol=1e-5)


def test_combine_on_features_of_a_full_pass_equals_keys(dual: DualEmbedding, vlm: VLM) -> None:
    images = pictures()
    pooled = vlm.encode_images(images, pool_layers=(1,)).pooled[1]
    torch.testing.assert_close(dual.combine(pooled, TEXTS), dual.keys(images, TEXTS), atol=1e-6, rtol=0)
    torch.testing.assert_close(dual.combine(pooled, TEXTS, exact=False), dual.combine(pooled, TEXTS), atol=1e-5, rtol=0)


def test_batched_equals_single(dual: DualEmbedding) -> None:
    images = pictures()
    singles = torch.cat([dual.keys([image], [text]) for image, text in zip(images, TEXTS, strict=True)])
    torch.testing.assert_close(dual.keys(images, TEXTS), singles, atol=1e-5, rtol=0)


def test_a_picture_given_twice_is_encoded_once(dual: DualEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = pictures(2)
    seen: list[int] = []
    embed = dual.vlm.embed_vision
    monkeypatch.setattr(
        dual.vlm, "embed_vision", lambda images, *rest: seen.append(len(images)) or embed(images, *rest)
    )
    keys = dual.keys([one, two, one], ["a", "a", "the dog"])
    assert seen == [2]
    width = dual.vlm.vision_dim
    assert torch.equal(keys[0, :width], keys[2, :width])
    assert not torch.equal(keys[0, :width], keys[1, :width])


def test_lambda_and_norms_only_scale(vlm: VLM, encoder: TextEncoder) -> None:
    images, width = pictures(), vlm.vision_dim
    base = DualEmbedding(vlm, encoder, SPACE).keys(images, TEXTS)
    for lam, vision_norm, text_norm in ((0.0, 5.0, 2.0), (1.4, 10.0, 2.0), (0.7, 1.0, 8.0)):
        space = dataclasses.replace(SPACE, lam=lam, vision_norm=vision_norm, text_norm=text_norm)
        keys = DualEmbedding(vlm, encoder, space).keys(images, TEXTS)
        torch.testing.assert_close(keys[:, :width], base[:, :width] * (5.0 / vision_norm))
        torch.testing.assert_close(keys[:, width:], base[:, width:] * (lam / 0.7 * 2.0 / text_norm))


def test_pooling_and_layer_matter(vlm: VLM, encoder: TextEncoder) -> None:
    images = pictures()
    spaces = [SPACE, dataclasses.replace(SPACE, pooling="last"), dataclasses.replace(SPACE, layer=0)]
    keys = [DualEmbedding(vlm, encoder, space).keys(images, TEXTS) for space in spaces]
    assert float((keys[0] - keys[1]).norm()) > 1e-2
    assert float((keys[0] - keys[2]).norm()) > 1e-2


def test_nothing_to_embed(dual: DualEmbedding) -> None:
    assert dual.keys([], []).shape == (0, dual.dim)


def test_fingerprint_is_json_and_notices_every_change(
    dual: DualEmbedding, vlm: VLM, encoder: TextEncoder, tmp_path: Path
) -> None:
    assert json.loads(json.dumps(dual.fingerprint)) == dual.fingerprint
    assert dual.fingerprint == DualEmbedding(vlm, encoder, SPACE).fingerprint
    changes = {"layer": 0, "lam": 0.5, "vision_norm": 4.0, "text_norm": 1.0, "pooling": "last"}
    for name, value in changes.items():
        other = DualEmbedding(vlm, encoder, dataclasses.replace(SPACE, **{name: value})).fingerprint
        assert {key for key in other if other[key] != dual.fingerprint[key]} == {name}
    weights = load_vlm(str(build(tmp_path / "seed", seed=1)))
    other = DualEmbedding(weights, encoder, SPACE).fingerprint
    assert {key for key in other if other[key] != dual.fingerprint[key]} == {"base_model"}
    pixels = load_vlm(str(build(tmp_path / "size", size=40)))
    assert DualEmbedding(pixels, encoder, SPACE).fingerprint["preprocessing"] != dual.fingerprint["preprocessing"]


def test_unusable_input(vlm: VLM, encoder: TextEncoder, dual: DualEmbedding) -> None:
    with pytest.raises(ConfigError, match="layer=9"):
        DualEmbedding(vlm, encoder, dataclasses.replace(SPACE, layer=9))
    with pytest.raises(RecordError, match=r"dog.*not finite"):
        dual.combine(torch.tensor([[float("nan")] * vlm.vision_dim]), ["the dog"])
    with pytest.raises(ValueError, match="one row a text"):
        dual.combine(torch.zeros(2, vlm.vision_dim), ["the dog"])
    with pytest.raises(ValueError, match="one picture a text"):
        dual.keys(pictures(2), ["the dog"])


def test_calibration_measures_mean_norms(vlm: VLM, encoder: TextEncoder, tmp_path: Path) -> None:
    images = pictures(5)
    sample = [(ImageRef.from_pil(image), f"the dog {number}") for number, image in enumerate(images)]
    space = calibrate(vlm, encoder, sample, layer=2, lam=0.3, batch_size=2, source="noise")
    vision = np.mean([np.linalg.norm(naive_vision(vlm, image, 2)) for image in images])
    text = np.mean([np.linalg.norm(encoder.encode([text])[0].double().numpy()) for _, text in sample])
    assert space.vision_norm == pytest.approx(vision, rel=1e-5)
    assert space.text_norm == pytest.approx(text, rel=1e-5)
    assert (space.layer, space.lam, space.calibration["pairs"]) == (2, 0.3, 5)
    assert "/" not in space.model + space.encoder  # an artefact that ships must not carry the maker's folders
    shuffled = calibrate(vlm, encoder, sample[::-1], layer=2, lam=0.3, batch_size=5)
    assert shuffled.vision_norm == pytest.approx(space.vision_norm, rel=1e-6)
    loaded = KeySpace.load(space.save(tmp_path / "space.json"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keys = DualEmbedding(vlm, encoder, loaded).keys(images, [text for _, text in sample])
    width = vlm.vision_dim
    assert float(keys[:, :width].norm(dim=1).mean()) == pytest.approx(1.0, abs=1e-5)
    assert float(keys[:, width:].norm(dim=1).mean()) == pytest.approx(0.3, abs=1e-5)


def test_calibration_for_other_weights_warns(vlm: VLM, encoder: TextEncoder) -> None:
    with pytest.warns(UserWarning, match="other weights than VLM"):
        DualEmbedding(vlm, encoder, dataclasses.replace(SPACE, model_fingerprint="other"))
    with pytest.warns(UserWarning, match="other weights than text encoder"):
        DualEmbedding(vlm, encoder, dataclasses.replace(SPACE, encoder_fingerprint="other"))


def test_calibration_refuses_what_it_cannot_use(vlm: VLM, encoder: TextEncoder) -> None:
    good = ImageRef.from_pil(pictures(1)[0])
    for sample, layer, word in (
        ([], 0, "nothing"),
        ([(good, "a")], 3, "layer=3"),
        ([(ImageRef.from_bytes(b"x"), "a")], 0, "sample"),
    ):
        with pytest.raises(ConfigError, match=word) as caught:
            calibrate(vlm, encoder, sample, layer=layer, lam=1.0)
        assert "\n" not in str(caught.value)
