"""Contract of every family: all layers in one pass are what one layer at a time gives."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, probe_layers

TEXTS = ["a cat", "What colour is the small striped thing near the lamp?", "sand", "What colour is the small dog?"]


def cross(images: list[Image.Image]) -> tuple[list[Image.Image], list[str]]:
    """Every picture with every text, pictures together."""
    return [image for image in images for _ in TEXTS], TEXTS * len(images)


@pytest.mark.parametrize("batch_size", [3, 4, 16])
def test_cross_product_is_pair_by_pair(vlm: VLM, images: list[Image.Image], batch_size: int) -> None:
    pictures, texts = cross(images[:3])
    told: list[int] = []
    found = probe_layers(vlm, pictures, texts, batch_size=batch_size, progress=told.append)
    assert tuple(found) == vlm.layer_refs() and sum(told) == len(texts)
    for row, pool in enumerate(("mean", "last")):
        for index in (0, 1, 5, 11):
            single = vlm.embed_layers([pictures[index]], [texts[index]], pool=pool)
            for ref, embeddings in found.items():
                assert embeddings.shape == (2, 12, ref.dim) and embeddings.dtype == torch.float32
                assert torch.allclose(embeddings[row, index], single[ref][0], atol=1e-4), (ref, pool, index)
    for ref, embeddings in found.items():
        assert torch.equal(embeddings[0, 0], embeddings[0, 1]) != ref.text_dependent
        assert not torch.allclose(embeddings[0, 0], embeddings[0, 4], atol=1e-6)  # another picture


def test_a_picture_passes_the_tower_once_and_the_language_model_once_a_batch(
    vlm: VLM, images: list[Image.Image]
) -> None:
    pictures, texts = cross(images[:2])
    rows: list[tuple[str, int, int]] = []
    tower = vlm.vision_blocks()[0].register_forward_hook(lambda *_: rows.append(("vision", 0, 0)))

    def count(_module: object, _inputs: object, output: torch.Tensor | tuple[torch.Tensor]) -> None:
        hidden = output if isinstance(output, torch.Tensor) else output[0]
        assert vlm.hook_context is not None
        rows.append((vlm.hook_context.phase, hidden.shape[0], hidden.shape[1]))

    layer = vlm.lm_layers()[0].register_forward_hook(count)
    probe_layers(vlm, pictures, texts, batch_size=4)
    tower.remove()
    layer.remove()
    assert sum(phase == "vision" for phase, _, _ in rows) == 1
    shared = [tokens for phase, count, tokens in rows if phase == "shared" and count == 1]
    rest = [tokens for phase, count, tokens in rows if phase == "prefill" and count == 4]
    if any(ref.block == "merger" and ref.text_dependent for ref in vlm.layer_refs()):
        assert len(rest) == 2  # the picture's tokens depend on the text: there is nothing to share
    else:
        assert len(shared) == len(rest) == 2
        feats = vlm.encode_images(images[:1])
        assert min(shared) >= len(feats.rows[0].tokens)


def test_equal_pairs_are_one(vlm: VLM, images: list[Image.Image]) -> None:
    """Also within a batch: a merger that reads the text may see what is equal once."""
    told: list[int] = []
    pictures, texts = [images[0], images[1], images[0], images[0]], [TEXTS[0], TEXTS[0], TEXTS[0], TEXTS[1]]
    found = probe_layers(vlm, pictures, texts, batch_size=16, progress=told.append)
    assert sum(told) == 4
    for ref, embeddings in found.items():
        assert embeddings.shape == (2, 4, ref.dim) and torch.equal(embeddings[:, 0], embeddings[:, 2])
        for index in (1, 3):
            single = vlm.embed_layers([pictures[index]], [texts[index]])
            assert torch.allclose(embeddings[0, index], single[ref][0], atol=1e-4), (ref, index)


def test_some_layers_and_poolings(vlm: VLM, images: list[Image.Image]) -> None:
    refs = vlm.layer_refs()
    some = (refs[-1], refs[0])
    found = probe_layers(vlm, images[:2], TEXTS[:2], some, ("last",))
    assert tuple(found) == some and found[refs[0]].shape == (1, 2, refs[0].dim)
    assert torch.allclose(found[refs[0]][0], vlm.embed_vision(images[:2], 0, "last"), atol=1e-5)
    assert probe_layers(vlm, [], [])[refs[0]].shape == (2, 0, refs[0].dim)
    hooks = sum(len(module._forward_hooks) for module in vlm.model.modules())
    with pytest.raises(ConfigError, match="mean or last"):
        probe_layers(vlm, images[:1], TEXTS[:1], poolings=("median",))
    with pytest.raises(ValueError, match="1 pictures for 2 texts"):
        probe_layers(vlm, images[:1], TEXTS[:2])
    assert sum(len(module._forward_hooks) for module in vlm.model.modules()) == hooks
