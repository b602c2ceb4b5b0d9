"""Keys from a language layer (paper 4.5, Fig. 5a), against a plain forward pass of the stock model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules.records import ImageRef, RecordError
from rv_edit.augment import ImageAugmenter, RadiusEstimator, item_seed
from rv_edit.codebook import Codebook
from rv_edit.editors.answering import Asking
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.embedding import DualEmbedding, KeySpace, TextEncoder, calibrate, key_layer
from rv_edit.errors import ConfigError
from rv_edit.evidence import EvidenceSelector
from rv_edit.vlm import VLM
from tests.editors.conftest import make_edit, question

SPACE = KeySpace(layer=0, lam=0.5, vision_norm=4.0, text_norm=2.0, block="language")
TEXTS = ["What is the dog used for?", "The cup is red.", "What is the dog used for?"]


def pictures(count: int = 3) -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 30, 40, 3), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in pixels]


def naive(vlm: VLM, image: Image.Image, text: str, layer: int, pooling: str) -> np.ndarray:
    """A decoder layer's output over all tokens of the prompt; ``hidden_states[0]`` is its input."""
    prompt = str(vlm.format_prompt(text))
    inputs = vlm.processor(images=image, text=prompt, return_tensors="pt")
    with torch.no_grad():
        states = vlm.model(**inputs, output_hidden_states=True).hidden_states
    tokens = states[layer + 1][0].double().numpy()
    return tokens.mean(0) if pooling == "mean" else tokens[-1]


@pytest.fixture(scope="module")
def dual(vlm: VLM, encoder: TextEncoder) -> DualEmbedding:
    return DualEmbedding(vlm, encoder, SPACE)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_key_is_the_layer_and_the_text_scaled(vlm: VLM, encoder: TextEncoder, pooling: str) -> None:
    dual = DualEmbedding(vlm, encoder, dataclasses.replace(SPACE, pooling=pooling))
    images = pictures()
    keys = dual.keys(images, TEXTS)
    width = key_layer(vlm, "language", 0).dim
    assert keys.shape == (3, dual.dim) == (3, width + encoder.dim) and width != vlm.vision_dim
    for key, image, text in zip(keys.numpy(), images, TEXTS, strict=True):
        half = encoder.encode([text])[0].double().numpy()
        expected = np.concatenate([naive(vlm, image, text, 0, pooling) / 4.0, 0.5 * half / 2.0])
        np.testing.assert_allclose(key, expected, atol=1e-5)
    assert not torch.allclose(dual.keys(images[:1], TEXTS[:1])[:, :width], dual.keys(images[:1], TEXTS[1:2])[:, :width])


def test_batched_equals_single(dual: DualEmbedding) -> None:
    images = pictures()
    singles = torch.cat([dual.keys([image], [text]) for image, text in zip(images, TEXTS, strict=True)])
    torch.testing.assert_close(dual.keys(images, TEXTS), singles, atol=1e-4, rtol=0)
    torch.testing.assert_close(dual.keys(images, TEXTS, exact=False), singles, atol=1e-4, rtol=0)


def test_radii_are_distances_to_the_variants_as_pairs(dual: DualEmbedding) -> None:
    images, augmenter = pictures(), ImageAugmenter(tile_pool=pictures(5)[3:])
    found = RadiusEstimator(dual, augmenter, 3)(images, TEXTS, ["a", "b", "c"])
    torch.testing.assert_close(found.keys, dual.keys(images, TEXTS), atol=1e-4, rtol=0)
    for row, (image, text, item) in enumerate(zip(images, TEXTS, "abc", strict=True)):
        variants = [dual.keys([augmenter(image, item_seed(0, item, turn))], [text])[0] for turn in range(3)]
        expected = [float((variant - dual.keys([image], [text])[0]).norm()) for variant in variants]
        np.testing.assert_allclose(found.distances[row].numpy(), expected, atol=1e-4)
        assert min(expected) > 1e-3


def test_fingerprint_tells_it_from_a_vision_block(dual: DualEmbedding, vlm: VLM, encoder: TextEncoder) -> None:
    vision = DualEmbedding(vlm, encoder, dataclasses.replace(SPACE, block="vision"))
    assert json.loads(json.dumps(dual.fingerprint)) == dual.fingerprint
    assert dual.fingerprint != vision.fingerprint
    assert "block" not in vision.fingerprint  # codebooks made before there were others still load
    assert (dual.reads_text, vision.reads_text) == (True, False)


def test_calibration_makes_the_mean_norm_one(vlm: VLM, encoder: TextEncoder) -> None:
    images = pictures(5)
    sample = [(ImageRef.from_pil(image), f"the dog {number}") for number, image in enumerate(images)]
    space = calibrate(vlm, encoder, sample, layer=1, lam=0.3, block="language", batch_size=2)
    keys = DualEmbedding(vlm, encoder, space).keys(images, [text for _, text in sample])
    width = key_layer(vlm, "language", 1).dim
    assert float(keys[:, :width].norm(dim=1).mean()) == pytest.approx(1.0, abs=1e-4)
    assert (space.block, space.layer) == ("language", 1)


def test_an_editor_with_such_keys(dual: DualEmbedding, vlm: VLM, tmp_path: Path) -> None:
    def make() -> ReasonEdit:
        book = Codebook(dual.dim, dual.fingerprint, gate="none", merge="off")
        radii = RadiusEstimator(dual, ImageAugmenter(), variants=2)
        asking = Asking(batch_size=4, image_batch_size=3)
        return ReasonEdit(dual, book, radii, EvidenceSelector(vlm, grid=2), asking=asking, reasoning_keys="image")

    editor, again = make(), make()
    for index in range(3):
        editor.edit(make_edit(index))
        again.edit(make_edit(index))
    assert editor.checksum() == again.checksum()
    asked = [make_edit(index).as_question() for index in range(3)] + [question(7)]
    for index, answer in enumerate(editor.answer(asked)[:3]):
        assert answer.distances[0] < 1e-2 and f"lamp {index}?" in answer.facts[0]
    queries = dual.keys([asked[3].image.open()], [asked[3].text])
    expected = (queries[0] - editor.codebook.keys.float()).norm(dim=1).sort().values[:5]
    np.testing.assert_allclose(editor.answer(asked)[3].distances, expected.numpy(), atol=2e-3)
    editor.save(tmp_path)
    assert KeySpace.load(tmp_path / "key_space.json") == SPACE
    again.load(tmp_path)
    assert again.checksum() == editor.checksum()


def test_what_it_cannot_use_is_one_line(dual: DualEmbedding, vlm: VLM, encoder: TextEncoder) -> None:
    with pytest.raises(ConfigError, match="has 2 language blocks"):
        DualEmbedding(vlm, encoder, dataclasses.replace(SPACE, layer=2))
    with pytest.raises(ConfigError, match="block='merger'"):
        dataclasses.replace(SPACE, block="merger")
    with pytest.raises(RecordError, match="language_model"):
        dual.keys(pictures(1), ["dog " * 600])
