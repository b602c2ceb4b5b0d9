"""Contract of every family: hidden states, features and their reuse."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, ImageFeatures
from rv_edit.vlm.features import first_tensor, pool_tokens


def test_pooled_features_equal_early_exit_and_full_forward(vlm: VLM, images: list[Image.Image]) -> None:
    """Three ways to one vector; the early exit is bit-equal to the full pass and runs no block behind its own."""
    layers = range(vlm.num_vision_layers)
    for pool in ("mean", "last"):
        feats = vlm.encode_images(images, pool_layers=layers, pool=pool)
        assert set(feats.pooled) == set(layers)
        for layer in layers:
            ran: list[int] = []
            handles = [
                block.register_forward_hook(lambda *_, index=index, ran=ran: ran.append(index))
                for index, block in enumerate(vlm.vision_blocks())
            ]
            got = vlm.embed_vision(images, layer, pool)
            for handle in handles:
                handle.remove()
            assert ran == list(range(layer + 1))
            assert got.shape == (len(images), vlm.vision_dim)
            assert got.dtype == torch.float32
            assert torch.equal(got, feats.pooled[layer])
            single = torch.cat([vlm.embed_vision([image], layer, pool) for image in images])
            assert torch.allclose(single, got, atol=1e-5)


def test_pooling_against_the_block_output(vlm: VLM, images: list[Image.Image]) -> None:
    """Mean and last of what a block really returns, by numpy."""
    kept: list[torch.Tensor] = []
    block = vlm.vision_blocks()[1]
    handle = block.register_forward_hook(lambda _m, _i, output: kept.append(first_tensor(output).detach()))
    mean, last = (vlm.embed_vision(images[:1], 1, pool)[0].numpy() for pool in ("mean", "last"))
    handle.remove()
    tokens = kept[0].reshape(-1, vlm.vision_dim).numpy()
    np.testing.assert_allclose(mean, tokens.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(last, tokens[-1], atol=1e-6)


def test_features_reused_equal_fresh_pixels(vlm: VLM, images: list[Image.Image]) -> None:
    """Picked, joined, moved, pickled features score like fresh ones, and a picture alone like one of a batch."""
    prompt = vlm.format_prompt("What colour is the cat?")
    kept = vlm.encode_images(images, batch_size=3)
    again = ImageFeatures.cat([kept.pick([2]), kept.pick([0])]).to("cpu")
    again = pickle.loads(pickle.dumps(again))
    fresh = vlm.encode_images([images[2].copy(), images[0].copy()])
    for feats in (again, ImageFeatures.cat([vlm.encode_images([image]) for image in (images[2], images[0])])):
        for a, b in zip(
            vlm.score(feats, [prompt] * 2, [["red", "a cat"]] * 2),
            vlm.score(fresh, [prompt] * 2, [["red", "a cat"]] * 2),
            strict=True,
        ):
            assert a.logp == pytest.approx(b.logp, abs=1e-4)


def test_picked_rows_stay_one_object(vlm: VLM, images: list[Image.Image]) -> None:
    """By which scoring knows prompts over one picture, also after a move."""
    feats = vlm.encode_images(images[:2]).pick([0, 1, 0]).to("cpu")
    assert feats.rows[0] is feats.rows[2]
    assert feats.rows[0] is not feats.rows[1]
    assert feats.rows[0].tokens.untyped_storage().nbytes() == feats.rows[0].tokens.nbytes  # not the whole batch


def test_encoding_leaves_no_hooks_and_no_gradients(vlm: VLM, images: list[Image.Image]) -> None:
    """Also when preprocessing or a forward fails half-way."""

    def hooks() -> int:
        return sum(len(module._forward_hooks) for module in vlm.model.modules())

    vlm.encode_images(images)  # the library installs its own hooks once
    before = hooks()
    feats = vlm.encode_images(images, pool_layers=[0, 1])
    vlm.embed_vision(images, 0)
    vlm.embed_layers(images[:1], ["a cat"])
    with pytest.raises(ConfigError):
        vlm.encode_images(images, pool_layers=[0], pool="median")
    assert hooks() == before
    assert not feats.rows[0].tokens.requires_grad
    assert not feats.rows[0].tokens.is_inference()


def test_modes_of_pictures(vlm: VLM, images: list[Image.Image]) -> None:
    """Grey, palette and transparent pictures, and one pixel, are read."""
    grey = images[0].convert("L")
    a = vlm.embed_vision([grey, grey.convert("RGB"), images[0].convert("P"), images[0].convert("RGBA")], 0)
    assert torch.allclose(a[0], a[1], atol=1e-5)
    assert vlm.embed_vision([Image.new("RGB", (1, 1))], 0).isfinite().all()


def test_embed_layers(vlm: VLM, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    """All layers at once: vision rows equal early exit, a repeated picture passes once, batched = single."""
    texts = ["a cat", "What colour is the small striped thing near the lamp?", "sand", "a dog"]
    pictures = [images[0], images[1], images[0], images[0]]
    refs = vlm.layer_refs()
    assert {ref.block for ref in refs} == {"vision", "merger", "language"}
    modules = dict(vlm.model.named_modules())
    assert all(ref.path in modules for ref in refs)
    for pool in ("mean", "last"):
        out = vlm.embed_layers(pictures, texts, pool=pool, batch_size=3)
        assert list(out) == list(refs)
        for ref in refs:
            assert out[ref].shape == (4, ref.dim)
            assert out[ref].dtype == torch.float32
            if ref.block == "vision":
                assert torch.allclose(out[ref], vlm.embed_vision(pictures, ref.index, pool), atol=1e-5)
            if not ref.text_dependent:
                assert torch.equal(out[ref][0], out[ref][2])
            else:
                assert not torch.allclose(out[ref][0], out[ref][2], atol=1e-3)
        deep = [ref for ref in refs if ref.text_dependent]
        for index in range(4):
            single = vlm.embed_layers([pictures[index]], [texts[index]], deep, pool)
            for ref in deep:
                assert torch.allclose(single[ref][0], out[ref][index], atol=1e-4)
    read: list[int] = []
    preprocess = vlm.preprocess
    monkeypatch.setattr(vlm, "preprocess", lambda given: (read.append(len(given)), preprocess(given))[1])
    vlm.embed_layers(pictures, texts)
    assert read == [2]
    assert list(vlm.embed_layers(pictures, texts, refs[:1])) == [refs[0]]


def test_unknown_layers_and_poolings(vlm: VLM, images: list[Image.Image]) -> None:
    """Named, with what there is."""
    with pytest.raises(ConfigError, match="layers 0 to"):
        vlm.embed_vision(images, vlm.num_vision_layers)
    with pytest.raises(ConfigError, match="layers 0 to"):
        vlm.encode_images(images, pool_layers=[-1])
    with pytest.raises(ConfigError, match="mean or last"):
        vlm.embed_vision(images, 0, "median")
    with pytest.raises(ValueError, match="4 pictures for 1 texts"):
        vlm.embed_layers(images, ["a"])


@pytest.mark.parametrize("side", ["left", "right"])
def test_masked_pooling_by_numpy(side: str) -> None:
    """Padding on either side, filled with rubbish, changes nothing."""
    rng = np.random.default_rng(3)
    rows = [rng.normal(size=(length, 5)).astype(np.float32) for length in (2, 4, 1)]
    padded, mask = np.full((3, 4, 5), np.nan, np.float32), np.zeros((3, 4), bool)
    for index, row in enumerate(rows):
        part = slice(4 - len(row), 4) if side == "left" else slice(0, len(row))
        padded[index, part], mask[index, part] = row, True
    for pool, reference in (("mean", lambda row: row.mean(axis=0)), ("last", lambda row: row[-1])):
        got = pool_tokens(torch.from_numpy(padded), pool, torch.from_numpy(mask))
        np.testing.assert_allclose(got.numpy(), np.stack([reference(row) for row in rows]), atol=1e-6)
        packed = pool_tokens([torch.from_numpy(row) for row in rows], pool)
        np.testing.assert_allclose(packed.numpy(), got.numpy(), atol=1e-6)
