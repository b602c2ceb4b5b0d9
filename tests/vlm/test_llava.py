"""What is LLaVA's own: its template, and where the picture stands in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, load_vlm


@pytest.fixture(scope="module")
def folder(build: Callable[[str], Path]) -> Path:
    """A tiny LLaVA."""
    return build("llava")


@pytest.fixture(scope="module")
def llava(folder: Path) -> VLM:
    """Loaded."""
    return load_vlm(str(folder))


def test_template(llava: VLM) -> None:
    """LLaVA 1.5's, facts in the user's turn before the question."""
    assert llava.format_prompt("What is it?", ["A.", "B."]) == "USER: <image>\nA. B. What is it? ASSISTANT:"


def test_chat_template_renders_the_same(folder: Path, llava: VLM) -> None:
    """The tiny checkpoint's chat template writes LLaVA 1.5's format."""
    chat = load_vlm(str(folder), prompt_style={"kind": "chat"})
    assert chat.format_prompt("Is {q} it?", ["A."]) == llava.format_prompt("Is {q} it?", ["A."])
    chat.processor.chat_template = chat.processor.tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="chat template cannot be used"):
        llava.default_style.override({"kind": "chat"}, "test").rendered(chat.processor)


def test_input_equals_the_stock_processor(llava: VLM, images: list[Image.Image]) -> None:
    """Same ids at the same places, and a picture wide as its patches."""
    prompt = llava.format_prompt("What colour is the cat?", ["The mat is blue."])
    (row,) = llava.prefix(llava.encode_images(images[:1]), [prompt])
    stock = llava.processor(images=images[0], text=str(prompt), return_tensors="pt")
    assert list(row.keys) == stock["input_ids"][0].tolist()
    assert row.keys.count(llava.prompts.image_id) == 16
    assert row.next_pos == len(row) == row.embeds.shape[0]


def test_names_for_adapters(llava: VLM) -> None:
    """Full paths hit exactly the last decoder layer's three linear layers."""
    assert llava.final_mlp_paths() == tuple(
        f"model.language_model.layers.1.mlp.{name}" for name in ("gate_proj", "up_proj", "down_proj")
    )


def test_image_token_must_be_known(folder: Path) -> None:
    """A template that names another place holder is refused before any work."""
    with pytest.raises(ConfigError, match="does not know the image token '<picture>'"):
        load_vlm(str(folder), prompt_style={"template": "<picture> {q}", "image_token": "<picture>"})
