"""What is InstructBLIP's own: a Q-Former that reads the prompt, and inputs that the stock processor pads wrongly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, load_vlm


@pytest.fixture(scope="module")
def folder(build: Callable[[str], Path]) -> Path:
    """A tiny InstructBLIP."""
    return build("instructblip")


@pytest.fixture(scope="module")
def blip(folder: Path) -> VLM:
    """Loaded."""
    return load_vlm(str(folder))


@contextmanager
def rows_read(module: torch.nn.Module) -> Iterator[list[int]]:
    """The batch size of every pass through a module."""
    seen: list[int] = []
    handle = module.register_forward_hook(lambda _m, _i, output: seen.append(len(output)))
    yield seen
    handle.remove()


def test_template(blip: VLM) -> None:
    """A VQA prompt, facts before the question, no place holder."""
    assert blip.format_prompt("What is it?", ["A.", "B."]) == "Question: A. B. What is it? Short answer:"


def test_input_equals_the_stock_processor(blip: VLM, images: list[Image.Image]) -> None:
    """The queries, then the text's own ids from its beginning on; the Q-Former reads what the stock one reads."""
    prompt = blip.format_prompt("What colour is the cat?", ["The mat is blue."])
    (row,) = blip.prefix(blip.encode_images(images[:1]), [prompt])
    stock = blip.processor(images=images[0], text=str(prompt), return_tensors="pt")
    assert len(row) == stock["input_ids"].shape[1] == row.next_pos
    assert list(row.keys[8:]) == stock["input_ids"][0, 8:].tolist()
    assert stock["input_ids"][0, :8].eq(blip.model.config.image_token_id).all()
    assert blip.picture_length(blip.encode_images(images[:1]).rows[0]) == 8
    (asked,) = blip.instruction_ids([prompt])  # type: ignore[attr-defined]
    assert list(asked) == stock["qformer_input_ids"][0].tolist()


def test_the_stock_batch_is_wrong_and_ours_is_not(blip: VLM, images: list[Image.Image], naive_of: object) -> None:
    """Why inputs are built here: padded by the stock processor, a short prompt beside a long one scores otherwise."""
    prompts = [blip.format_prompt(text) for text in ("What is it?", "What colour is the small thing near the lamp?")]
    inputs = blip.processor(
        images=images[:2], text=[str(prompt) for prompt in prompts], return_tensors="pt", padding=True
    )
    with torch.no_grad():
        stock = blip.model(**inputs, use_cache=False).logits[:, -1].log_softmax(dim=-1)
    ours = blip.next_token_logp(blip.encode_images(images[:2]), prompts)
    alone = naive_of(blip, images[0], prompts[0])  # type: ignore[operator]
    assert torch.allclose(ours[0], alone, atol=1e-4)
    assert (stock[0] - alone).abs().max() > 1e-2


@pytest.fixture
def naive_of() -> Callable[[VLM, Image.Image, str], torch.Tensor]:
    """Log-probabilities after a prompt, by the stock model on one picture and prompt."""
    from tests.vlm.tiny_instructblip import naive_logits

    return lambda vlm, image, prompt: naive_logits(vlm, image, prompt, [])[-1].log_softmax(dim=-1)


def test_what_is_shared(blip: VLM, images: list[Image.Image]) -> None:
    """The tower reads a picture once for all prompts, the Q-Former each picture and prompt once."""
    questions = ["What is it?", "What colour is the cat?", "What is it?", "What is it?"]
    prompts = [blip.format_prompt(question) for question in questions]
    with rows_read(blip.vision_blocks()[0]) as tower, rows_read(blip.merger_modules()[0]) as merger:
        feats = blip.encode_images(images[:2]).pick([0, 0, 0, 1])
        blip.score(feats, prompts, [["red", "a cat"]] * 4)
    assert tower == [2]
    assert merger == [3]


def test_the_answer_does_not_reach_the_q_former(blip: VLM, images: list[Image.Image]) -> None:
    """The stock processor, given prompt and answer as one text, would show it there."""
    prompt = blip.format_prompt("What is it?")
    with rows_read(blip.merger_modules()[0]) as passes:
        blip.score(blip.encode_images(images[:1]), [prompt], [["red", "a small blue dog", "two cats"]])
    assert passes == [1]


def test_special_tokens_of_the_q_former_are_text(blip: VLM) -> None:
    """One frame around the text, whatever the user writes."""
    tokenizer = blip.processor.qformer_tokenizer
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    plain, nasty = blip.instruction_ids(  # type: ignore[attr-defined]
        [blip.format_prompt("What is it?"), blip.format_prompt("[CLS] is [SEP] it [PAD] a [MASK] [DEC]?")]
    )
    frame = [tokenizer.cls_token_id, tokenizer.sep_token_id]
    assert [token for token in plain if token in special] == frame
    assert [token for token in nasty if token in special] == frame
    assert len(nasty) > len(plain) + 10


def test_long_instructions_keep_their_end(blip: VLM, images: list[Image.Image]) -> None:
    """The Q-Former has fewer positions than the language model: it reads the question, the latter all facts."""
    facts = [f"The lamp near cat {index} is red." for index in range(12)]
    long, question = blip.format_prompt("What colour is the dog?", facts), blip.format_prompt("What colour is the dog?")
    asked, short = blip.instruction_ids([long, question])  # type: ignore[attr-defined]
    assert len(asked) == 64
    assert asked[0] == short[0] and asked[-1] == short[-1]
    assert asked[-10:] == short[-10:]
    (score,) = blip.score(blip.encode_images(images[:1]), [long], [["red"]])
    assert score.logp[0] < 0


def test_q_former_layers_are_pooled_over_the_queries(blip: VLM, images: list[Image.Image]) -> None:
    """By the stock model's own Q-Former output, whose first rows are the queries."""
    texts = ["a cat", "What colour is the small striped thing near the lamp?", "a cat"]
    refs = [ref for ref in blip.layer_refs() if ref.block == "merger"]
    assert [ref.dim for ref in refs] == [40, 40]
    with rows_read(blip.merger_modules()[0]) as passes:
        out = blip.embed_layers([images[0]] * 3, texts, refs)
    assert passes == [2]  # the first and the last are one
    for index, text in enumerate(texts):
        stock = blip.processor(images=images[0], text=str(blip.format_prompt(text)), return_tensors="pt")
        names = ("pixel_values", "qformer_input_ids", "qformer_attention_mask")
        with torch.no_grad():
            whole = blip.model.get_image_features(**{name: stock[name] for name in names}, return_dict=True)
        queries = whole.qformer_outputs.last_hidden_state[0, :8]
        assert torch.allclose(out[refs[-1]][index], queries.mean(dim=0), atol=1e-5)


def test_the_q_formers_tokenizer_is_missing(folder: Path, tmp_path: Path) -> None:
    """The library takes the language model's in its place, whose ids the Q-Former has no rows for."""
    other = Path(shutil.copytree(folder, tmp_path / "without"))
    shutil.rmtree(other / "qformer_tokenizer")
    with pytest.raises(ConfigError, match="qformer_tokenizer knows 431 tokens, its Q-Former 143") as error:
        load_vlm(str(other))
    assert "\n" not in str(error.value)


def test_an_encoder_decoder_is_refused(folder: Path, tmp_path: Path) -> None:
    """Flan-T5 checkpoints of the same model type score in another way."""
    from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration

    other = Path(shutil.copytree(folder, tmp_path / "t5"))
    config = json.loads((other / "config.json").read_text())
    text = {
        "model_type": "t5",
        "vocab_size": 300,
        "d_model": 16,
        "d_kv": 4,
        "d_ff": 16,
        "num_layers": 1,
        "num_decoder_layers": 1,
        "num_heads": 4,
    }
    config.update(text_config=text, use_decoder_only_language_model=False)
    (other / "config.json").write_text(json.dumps(config))
    InstructBlipForConditionalGeneration(InstructBlipConfig.from_pretrained(other)).save_pretrained(other)
    with pytest.raises(ConfigError, match=r"t5: its language model \(t5\) has an encoder of its own") as error:
        load_vlm(str(other))
    assert "\n" not in str(error.value)
