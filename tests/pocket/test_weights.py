"""The shipped weights: small, loaded as any checkpoint is, and described by a card that is not out of date."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from rv_edit.embedding import TextEncoder
from rv_edit.embedding.key_space import KeySpace
from rv_edit.pocket.card import card
from rv_edit.pocket.gates import accuracy, taught_items
from rv_edit.pocket.tokenizer import build_tokenizer
from rv_edit.vlm import VLM, load_vlm

WEIGHTS = Path(str(files("rv_edit.pocket"))) / "weights"
CLASSES = {
    "llava": "LlavaForConditionalGeneration",
    "instructblip": "InstructBlipForConditionalGeneration",
    "qwen3vl": "Qwen3VLForConditionalGeneration",
}
ENCODER = "package://rv_edit.pocket/weights/sentence_encoder"


@pytest.fixture(scope="module", params=list(CLASSES))
def vlm(request: pytest.FixtureRequest) -> VLM:
    return load_vlm(f"package://rv_edit.pocket/weights/{request.param}")


def folder_of(vlm: VLM) -> Path:
    return WEIGHTS / vlm.name.rpartition("/")[2]


def test_these_are_all_there_are() -> None:
    assert {path.parent.name for path in WEIGHTS.glob("*/gates.json")} == set(CLASSES)


def test_they_are_small() -> None:
    for folder in (*CLASSES, "sentence_encoder"):
        assert sum(path.stat().st_size for path in (WEIGHTS / folder).rglob("*.safetensors")) <= 6_000_000


def test_the_card_says_what_was_measured(vlm: VLM) -> None:
    folder = folder_of(vlm)
    measured = json.loads((folder / "gates.json").read_text())
    assert measured["weights"] == vlm.fingerprint, "measured on other weights; run python -m rv_edit.pocket.gates"
    parameters = sum(p.numel() for p in vlm.model.parameters())
    text = card(measured, parameters, f"Pocket {folder.name}", type(vlm.model).__name__)
    assert (folder / "README.md").read_text(encoding="utf-8") == text


def test_the_model_knows_what_its_card_says(vlm: VLM) -> None:
    measured = json.loads((folder_of(vlm) / "gates.json").read_text())
    assert accuracy(vlm, taught_items(80)[0]) == pytest.approx(measured["taught"], abs=0.15)


def test_the_words_of_the_tokenizer_are_those_the_code_builds(vlm: VLM) -> None:
    words = build_tokenizer().get_vocab()
    found = vlm.prompts.tokenizer.get_vocab()
    assert {word: found[word] for word in words} == words
    assert type(vlm.model).__name__ == CLASSES[folder_of(vlm).name]


def test_the_key_space_belongs_to_these_weights(vlm: VLM) -> None:
    space, encoder = KeySpace.load(folder_of(vlm) / "key_space.json"), TextEncoder(ENCODER)
    assert space.model_fingerprint == vlm.fingerprint
    assert space.encoder_fingerprint == encoder.fingerprint


def test_the_key_space_is_what_the_curves_in_it_say(vlm: VLM) -> None:
    space = KeySpace.load(folder_of(vlm) / "key_space.json")
    layers = [row for row in space.curves["layers"] if row["block"] == "vision" and row["pooling"] == space.pooling]
    assert len(layers) == vlm.num_vision_layers
    best = max(layers, key=lambda row: float(row["bimodal_modularity_mean"]))
    assert space.layer == best["index"] and space.curves["networks"] == 10

    assert space.curves["criterion"].endswith("λ: greatest bimodal modularity")
    assert space.lam == max(space.curves["balance"], key=lambda row: float(row["bimodal_modularity_mean"]))["lam"]


def test_the_encoder_puts_wordings_of_a_question_together() -> None:
    one, same, other = TextEncoder(ENCODER).encode(
        [
            "What is the small red thing near the lamp made of?",
            "From which substance is the tiny scarlet object close to the lamp made?",  # a held-out wording
            "Who uses the large blue article on the beach most?",
        ]
    )
    assert torch.dot(one, same) > 0.6 > torch.dot(one, other)
