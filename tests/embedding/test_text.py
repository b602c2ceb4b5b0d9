from __future__ import annotations

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rv_edit.embedding import TextEncoder
from rv_edit.errors import ConfigError
from tests.embedding.tiny_encoder import build_encoder

TEXTS = [
    "What is the dog used for?",
    "a",
    "The answer to question what is on the left about the image is cat. " * 20,
    "",
    "Ünïcödé 🐶 \x00 text",
    "what is the dog used for?",
    "The cup is red.",
]


def naive(folder: Path, texts: list[str]) -> np.ndarray:
    """The same model by transformers alone, one text at a time: mean over tokens, unit length."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        with torch.no_grad():
            inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
            row = model(**inputs).last_hidden_state[0].double().numpy().mean(0)
        rows.append(row / np.linalg.norm(row))
    return np.stack(rows)


@pytest.mark.parametrize("exact", [True, False])
def test_equals_the_model_run_by_hand(encoder_folder: Path, exact: bool) -> None:
    encoder = TextEncoder(encoder_folder, batch_size=3)
    vectors = encoder.encode(TEXTS, exact=exact)
    assert vectors.dtype == torch.float32
    assert vectors.shape == (len(TEXTS), encoder.dim)
    np.testing.assert_allclose(vectors.numpy(), naive(encoder_folder, TEXTS), atol=1e-5)


def test_texts_are_told_apart(encoder: TextEncoder) -> None:
    vectors = encoder.encode(["the dog is red.", "what is the cup used for?"])
    assert float((vectors[0] - vectors[1]).norm()) > 0.05


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(TEXTS), st.integers(0, len(TEXTS)))
def test_exact_encoding_depends_on_nothing_else(encoder_folder: Path, order: list[str], cut: int) -> None:
    fresh = _fresh(encoder_folder)
    first = fresh.encode(order[:cut])
    rest = fresh.encode(order[cut:] + order[:1])
    together = torch.cat([first, rest[: len(order) - cut]])
    for text, vector in zip(order, together, strict=True):
        assert torch.equal(vector, _alone(encoder_folder, text))


def test_batched_encoding_equals_single_and_keeps_order(encoder_folder: Path) -> None:
    texts = [f"the {word} is on the {'left ' * repeat}" for repeat in range(9) for word in ("dog", "cat")]
    batched = TextEncoder(encoder_folder, batch_size=5).encode(texts, exact=False)
    torch.testing.assert_close(batched, TextEncoder(encoder_folder).encode(texts), atol=1e-5, rtol=0)


def test_each_text_is_encoded_once(encoder_folder: Path) -> None:
    encoder = TextEncoder(encoder_folder, cache_size=2)
    seen: list[str] = []
    forward = encoder._forward
    encoder._forward = lambda batch: seen.extend(batch) or forward(batch)  # type: ignore[method-assign]
    encoder.encode(["a", "dog", "a"])
    encoder.encode(["dog", "a"])
    assert sorted(seen) == ["a", "dog"]
    encoder.encode(["cat"])  # more than the cache holds: the one used longest ago goes
    encoder.encode(["a"])
    assert sorted(seen) == ["a", "cat", "dog"]
    encoder.encode(["dog"])
    assert sorted(seen) == ["a", "cat", "dog", "dog"]


def test_more_texts_than_the_cache_holds(encoder_folder: Path) -> None:
    texts = [f"the dog {number}" for number in range(9)]
    small = TextEncoder(encoder_folder, cache_size=2).encode(texts)
    assert torch.equal(small, TextEncoder(encoder_folder).encode(texts))


def test_results_cannot_change_the_cache(encoder: TextEncoder) -> None:
    before = encoder.encode(["the cat"]).clone()
    encoder.encode(["the cat"]).mul_(0)
    assert torch.equal(encoder.encode(["the cat"]), before)


def test_no_texts(encoder: TextEncoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_broken_characters_do_not_stop_it(encoder: TextEncoder) -> None:
    assert torch.equal(encoder.encode(["a \ud83d dog"]), encoder.encode(["a ? dog"]))


def test_fingerprint_tells_weights_apart_but_not_places(encoder_folder: Path, tmp_path: Path) -> None:
    encoder = TextEncoder(encoder_folder)
    copy = shutil.copytree(encoder_folder, tmp_path / "elsewhere")
    assert TextEncoder(copy).fingerprint == encoder.fingerprint
    used = TextEncoder(copy)
    used.encode(["short", "a much longer sentence than that"], exact=False)  # leaves its padding in the tokenizer
    assert used.fingerprint == encoder.fingerprint
    assert TextEncoder(build_encoder(tmp_path / "seed", seed=1)).fingerprint != encoder.fingerprint
    assert TextEncoder(build_encoder(tmp_path / "raw", normalize=False)).fingerprint != encoder.fingerprint


def test_unusable_addresses_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    broken = build_encoder(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    (tmp_path / "empty").mkdir()
    for name in (
        tmp_path / "missing",
        tmp_path / "empty",
        broken,
        "package://rv_edit/no/such/weights",
        "nobody/no-model",
    ):
        with pytest.raises(ConfigError) as caught:
            TextEncoder(name)
        message = str(caught.value)
        assert "\n" not in message
        assert str(name).rsplit("/", 1)[-1] in message
    assert message.endswith("get it with: hf download nobody/no-model")
    with pytest.raises(ConfigError, match="batch_size=0"):
        TextEncoder(tmp_path, batch_size=0)


_MODELS: dict[Path, TextEncoder] = {}


def _fresh(folder: Path) -> TextEncoder:
    """An encoder with empty caches; the model itself is loaded once."""
    base = _MODELS.setdefault(folder, TextEncoder(folder))
    fresh = object.__new__(TextEncoder)
    fresh.__dict__.update(base.__dict__, _exact=type(base._exact)(100), _batched=type(base._exact)(100))
    return fresh


@functools.cache
def _alone(folder: Path, text: str) -> torch.Tensor:
    return _fresh(folder).encode([text])[0]


def test_the_direct_pass_gives_what_the_library_gives(encoder_folder):
    """Bit for bit for single texts, with the model's default prompt where it has one."""
    encoder = TextEncoder(encoder_folder)
    assert encoder._direct
    for prompt in (None, "question"):
        encoder._model.prompts = {"question": "what is the "}
        encoder._model.default_prompt_name = prompt
        for text in TEXTS[:-1]:
            assert torch.equal(encoder._passed([text]), encoder._encoded([text]))
    encoder._model.truncate_dim = 8
    assert not encoder._direct and encoder.encode(["a"]).shape == (1, 8)


def test_a_forgotten_text_is_encoded_again(encoder_folder, monkeypatch):
    encoder, seen = TextEncoder(encoder_folder), []
    forward = encoder._forward
    monkeypatch.setattr(encoder, "_forward", lambda batch: seen.append(list(batch)) or forward(batch))
    for exact in (True, False):
        encoder.encode(["a"], exact)
    encoder.forget()
    for exact in (True, False):
        encoder.encode(["a"], exact)
    assert seen == [["a"]] * 4
