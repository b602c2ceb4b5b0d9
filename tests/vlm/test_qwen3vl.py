"""What is Qwen3-VL's own: packed pictures, positions on three axes, deep features, a processor without videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from rv_edit.vlm import VLM, load_vlm
from tests.vlm.tiny_qwen3vl import naive_logits


@pytest.fixture(scope="module")
def folder(build: Callable[[str], Path]) -> Path:
    """A tiny Qwen3-VL."""
    return build("qwen3_vl")


@pytest.fixture(scope="module")
def qwen(folder: Path) -> VLM:
    """Loaded."""
    return load_vlm(str(folder))


def test_template_is_the_checkpoints_own(qwen: VLM) -> None:
    """ChatML, facts in the user's turn before the question."""
    assert qwen.format_prompt("What is it?", ["A.", "B."]) == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>A. B. What is it?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_input_equals_the_stock_processor(qwen: VLM, images: list[Image.Image]) -> None:
    """Ids, and the positions that the stock model computes, for pictures of several shapes."""
    prompt = qwen.format_prompt("What colour is the cat?", ["The mat is blue."])
    feats = qwen.encode_images(images)
    rows = qwen.prefix(feats, [prompt] * len(images))
    assert len({tuple(row.extra["grid"].tolist()) for row in feats.rows}) == len(images)
    for row, image in zip(rows, images, strict=True):
        stock = qwen.processor(images=image, text=str(prompt), return_tensors="pt")
        assert list(row.keys) == stock["input_ids"][0].tolist()
        pos, delta = qwen.model.model.get_rope_index(
            stock["input_ids"], stock["mm_token_type_ids"], stock["image_grid_thw"], None, stock["attention_mask"]
        )
        assert torch.equal(row.pos, pos[:, 0])
        assert row.next_pos == len(row) + int(delta)
        assert int(row.extra["picture"].sum()) == row.keys.count(qwen.prompts.image_id)


def test_features_are_the_stock_models(qwen: VLM, images: list[Image.Image]) -> None:
    """Tokens and deep features of a picture in a batch equal those of the picture alone."""
    for row, image in zip(qwen.encode_images(images).rows, images, strict=True):
        pixels = qwen.processor.image_processor(images=[image], return_tensors="pt")
        with torch.no_grad():
            alone = qwen.model.get_image_features(pixels["pixel_values"], pixels["image_grid_thw"], return_dict=True)
        assert torch.allclose(row.tokens, alone.pooler_output[0], atol=1e-5)
        assert row.extra["deep"].shape[1] == len(alone.deepstack_features) == 2
        for layer, features in enumerate(alone.deepstack_features):
            assert torch.allclose(row.extra["deep"][:, layer], features[0], atol=1e-5)


def test_deep_features_matter(qwen: VLM, images: list[Image.Image]) -> None:
    """Without them the scores differ, so that the contract tests would notice."""
    feats = qwen.encode_images(images[:1])
    prompt = qwen.format_prompt("What is it?")
    before = qwen.next_token_logp(feats, [prompt])
    feats.rows[0].extra["deep"].zero_()
    assert (qwen.next_token_logp(feats, [prompt]) - before).abs().max() > 1e-2


def test_no_position_state(qwen: VLM, images: list[Image.Image]) -> None:
    """The stock model remembers the last picture's offset; neither is it read here, nor left behind."""
    feats = qwen.encode_images(images[:1])
    prompt = qwen.format_prompt("What is it?")
    candidates = [["red", "a small blue dog on the mat"]]
    qwen.model.model.rope_deltas = None
    before = qwen.score(feats, [prompt], candidates)
    assert qwen.model.model.rope_deltas is None
    for image in images[1:]:
        naive_logits(qwen, image, prompt, [5])  # a stock pass over another picture leaves its own
        assert qwen.model.model.rope_deltas is not None
        assert qwen.score(feats, [prompt], candidates) == before
    qwen.model.model.rope_deltas = torch.tensor([[1000]])
    assert qwen.score(feats, [prompt], candidates) == before
    assert qwen.generate(feats, [prompt], max_new_tokens=4) == qwen.generate(
        feats.pick([0]), [prompt], max_new_tokens=4
    )
    assert qwen.model.model.rope_deltas.item() == 1000


def test_merger_rows_are_unpacked(qwen: VLM, images: list[Image.Image]) -> None:
    """The last merger's pooled output is the mean of the picture's tokens."""
    refs = [ref for ref in qwen.layer_refs() if ref.block == "merger"]
    assert [ref.path.rpartition("visual.")[2] for ref in refs] == [
        "deepstack_merger_list.0", "deepstack_merger_list.1", "merger",
    ]  # fmt: skip
    out = qwen.embed_layers(images, ["a cat"] * len(images), refs)
    feats = qwen.encode_images(images)
    for index, row in enumerate(feats.rows):
        assert torch.allclose(out[refs[-1]][index], row.tokens.mean(dim=0), atol=1e-5)
        assert torch.allclose(out[refs[0]][index], row.extra["deep"][:, 0].mean(dim=0), atol=1e-5)


@pytest.mark.parametrize("size", [(900, 3), (2, 500), (1000, 1)])
def test_elongated_crops_are_read(qwen: VLM, size: tuple[int, int]) -> None:
    """The stock processor refuses sides of more than 200 to 1; evidence may be a thin strip."""
    strip = Image.effect_noise(size, 60)
    with pytest.raises(ValueError, match="aspect ratio"):
        qwen.processor.image_processor(images=[strip.convert("RGB")], return_tensors="pt")
    feats = qwen.encode_images([strip])
    assert qwen.next_token_logp(feats, [qwen.format_prompt("What is it?")]).isfinite().all()


def test_a_processor_saved_by_itself_is_read_again(qwen: VLM, folder: Path, tmp_path: Path) -> None:
    """From the hub's files, and from those that our own processor writes: same ids, pixels and template."""
    qwen.processor.save_pretrained(tmp_path)
    again = type(qwen).load_processor(str(tmp_path), None)
    assert not (folder / "processor_config.json").exists()
    prompt, image = str(qwen.format_prompt("What is it?")), Image.effect_noise((40, 64), 60).convert("RGB")
    for name, value in qwen.processor(images=image, text=prompt, return_tensors="pt").items():
        assert torch.equal(value, again(images=image, text=prompt, return_tensors="pt")[name])
    assert again.chat_template == qwen.processor.chat_template
    assert again.image_processor.to_dict() == qwen.processor.image_processor.to_dict()
