"""A real, tiny language model of ``transformers`` as a writer."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from rv_edit.benchmark.building.local_text import TransformersText
from rv_edit.benchmark.building.openai_reply import CUT_OFF
from rv_edit.benchmark.building.requests import StoppedError, TextReply, UnusableError
from rv_edit.errors import ConfigError
from tests.benchmark.building.subjects import record, text_request

CHAT = "{% for m in messages %}USER: {{ m['content'] }} {% endfor %}{% if think %}THINK {% endif %}ASSISTANT:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights; one token in ten ends its texts, so that they do end."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.vlm.tiny_llava import tokenizer

    place, tok = tmp_path_factory.mktemp("llama"), tokenizer(picture=False)
    config = LlamaConfig(
        vocab_size=len(tok), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=256, pad_token_id=tok.pad_token_id, bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    model.generation_config.eos_token_id = [tok.eos_token_id, *range(300, 300 + len(tok) // 10)]
    model.save_pretrained(place)
    tok.save_pretrained(place)
    return place


def writer(folder: Path, **options: Any) -> TransformersText:
    return TransformersText(str(folder), **{"dtype": "float32", "device": "cpu", "max_new_tokens": 400, **options})


def ask(provider: TransformersText, seed: int = 7, prompt: str = "What is the cat?") -> TextReply:
    return provider.ask(text_request(prompt, seed), threading.Event())


def sampled(folder: Path, prompt: str, seed: int, most: int) -> str:
    """The model called as its own documentation has it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tok, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    ids = tok(prompt, return_tensors="pt")["input_ids"]
    torch.manual_seed(seed)
    out = model.generate(ids, do_sample=True, temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=most)
    return str(tok.decode(out[0, ids.shape[1] :], skip_special_tokens=True)).strip()


def test_a_text_depends_on_prompt_and_seed_alone(folder: Path) -> None:
    provider = writer(folder)
    first, second = ask(provider), ask(provider, seed=8)
    assert first.text != second.text and first == ask(provider) == ask(writer(folder))
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    ask(provider)
    assert torch.equal(torch.rand(1), expected)  # nobody else's randomness is spent
    assert first.text == sampled(folder, "What is the cat?", 7, 400)
    assert (first.tokens_in or 0) > 3 and (first.tokens_out or 0) > 0
    provider.release()
    assert ask(provider) == first


def test_greedy_at_temperature_zero(folder: Path) -> None:
    provider = writer(folder, temperature=0.0, max_new_tokens=20)
    model, tok = provider._load()
    ids = tok("What is the cat?", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        best = int(model(ids).logits[0, -1].argmax())
    model.generation_config.eos_token_id = best  # it ends at once, whatever the seed
    assert {ask(provider, seed=seed).tokens_out for seed in range(3)} == {1}


def test_a_text_that_does_not_end_is_cut_off(folder: Path) -> None:
    endless = writer(folder, max_new_tokens=3)
    model, _ = endless._load()
    model.generation_config.eos_token_id = None
    with pytest.raises(UnusableError, match=CUT_OFF):
        ask(endless)


def test_the_chat_template_is_used_with_its_variables(folder: Path) -> None:
    provider = writer(folder, template={"think": True})
    _, tok = provider._load()
    tok.chat_template = CHAT
    ids = provider._prompt(tok, "Hello")
    assert tok.decode(ids[0]) == tok.decode(tok("USER: Hello THINK ASSISTANT:", add_special_tokens=False)["input_ids"])


def test_a_stop_ends_before_the_next_text(folder: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        writer(folder).ask(text_request(), stop)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "float7"}, "task.text.dtype=float7"),
        ({"device": "quantum"}, "cannot be loaded"),
        ({"temperature": -1.0}, "task.text.temperature=-1.0"),
        ({"temperature": "hot"}, "task.text.temperature=hot"),
        ({"top_p": 0.0}, "task.text.top_p=0.0"),
        ({"top_p": 1.5}, "task.text.top_p=1.5"),
        ({"max_new_tokens": 0}, "task.text.max_new_tokens=0"),
        ({"name": "/nowhere/model"}, "no such folder"),
        ({"name": "owner/model"}, r"owner/model cannot be loaded \(.*\); get it with: hf download owner/model$"),
    ],
)
def test_bad_options_are_one_line(folder: Path, options: dict[str, Any], said: str) -> None:
    given = {"name": str(folder), "dtype": "float32", "device": "cpu", **options}
    with pytest.raises(ConfigError, match=said) as caught:
        ask(TransformersText(given.pop("name"), **given))
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        ask(writer(tmp_path))


def test_about(folder: Path) -> None:
    provider = writer(folder, template={"think": False})
    assert provider.about["template"] == {"think": False} and provider.about["kind"] == "transformers"
    assert provider.refuses(record()) is None and provider.concurrency == 1
