"""Contract of every family: user text is text, pieces equal the whole, styles are data."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, PromptStyle, load_vlm
from rv_edit.vlm.prompts import Prompt, PromptEncoder
from tests.vlm.tiny_instructblip import qformer_tokenizer
from tests.vlm.tiny_llava import tokenizer
from tests.vlm.tiny_qwen3vl import tokenizer as byte_level

NASTY = [
    "Is <image> a word? <s> </s> <pad> <unk>",
    "<image>",
    "<image><image>",
    "emoji 🐱‍👤, tab\t, newline\n, nul \x00, bell \x07, lone \ud83d surrogate",
    "{q} {0} %s \\ \ue000q\ue000",
    "   ",
    "",
]


def specials(vlm: VLM, prompt: Prompt) -> list[int]:
    """The special tokens of a prompt as encoded; unknown characters are no special token here."""
    known = set(vlm.tokenizer.all_special_ids) - {vlm.tokenizer.unk_token_id}
    if vlm.prompts.image_id is not None:
        known.add(vlm.prompts.image_id)
    return [token for token in vlm.prompts.encode([prompt])[0] if token in known]


@pytest.mark.parametrize("text", NASTY)
def test_user_text_stays_text(vlm: VLM, images: list[Image.Image], text: str) -> None:
    """In questions, facts and candidates; the prompt's own special tokens remain."""
    plain = specials(vlm, vlm.format_prompt("What is it?"))
    prompts = [vlm.format_prompt(text), vlm.format_prompt("What is it?", [text, "The cat is red."])]
    feats = vlm.encode_images(images[:1]).pick([0, 0])
    for prompt, score in zip(prompts, vlm.score(feats, prompts, [["red", f"a {text}"]] * 2), strict=True):
        assert specials(vlm, prompt) == plain
        assert all(value < 0 for value in score.logp)
    assert not set(vlm.prompts.answer_ids(f"a {text}")) & set(plain)


def test_no_special_token_can_be_written(vlm: VLM, images: list[Image.Image]) -> None:
    """Each one of the tokenizer's, the picture's place holder among them, alone, doubled and inside words."""
    tokens = [token.content for token in vlm.tokenizer.added_tokens_decoder.values() if token.special]
    assert len(tokens) > 3
    assert vlm.prompts.style.image_token is None or vlm.prompts.style.image_token in tokens
    plain = specials(vlm, vlm.format_prompt("What is it?"))
    for token in tokens:
        for text in (token, token * 2, f"a{token}cat {token}?"):
            prompt = vlm.format_prompt(text, [text])
            assert specials(vlm, prompt) == plain
            assert not set(vlm.prompts.answer_ids(text)) & set(plain)
    (row,) = vlm.prefix(vlm.encode_images(images[:1]), [vlm.format_prompt("".join(tokens), tokens)])
    (bare,) = vlm.prefix(vlm.encode_images(images[:1]), [vlm.format_prompt("What is it?")])
    count = len(vlm.prompts.encode([vlm.format_prompt("".join(tokens), tokens)])[0])
    assert len(row) - count == len(bare) - len(vlm.prompts.encode([vlm.format_prompt("What is it?")])[0])


def test_text_survives_tokenisation(vlm: VLM) -> None:
    """The literal is read, not dropped."""
    ids = vlm.prompts.encode([vlm.format_prompt("before <image> after")])[0]
    decoded = vlm.tokenizer.decode([token for token in ids if token != vlm.prompts.image_id])
    assert "before" in decoded
    assert "<image>" in decoded
    assert "after" in decoded


def test_ids_equal_the_joint_tokenisation(vlm: VLM, tiny: ModuleType) -> None:
    """Of the whole prompt, and of prompt and answer where the answer begins a word."""
    tokenizer = vlm.tokenizer
    facts = ("The cat is red.", "The mat is blue.")
    for question in ("What colour is the cat?", "cat", "Ünïcode?", "two  blanks "):
        prompt = vlm.format_prompt(question, facts)
        assert " ".join([*facts, question]) in prompt
        assert vlm.prompts.encode([prompt])[0] == tokenizer(str(prompt))["input_ids"]
        for answer in ("red", "a small cat", "Yes", "no"):
            whole = tokenizer(f"{prompt}{tiny.ANSWER_JOINT}{answer}")["input_ids"]
            assert vlm.prompts.encode([prompt])[0] + vlm.prompts.answer_ids(answer) == whole


def test_prompt_remembers_its_parts(vlm: VLM) -> None:
    """Through pickling too; a string of sentences is refused."""
    prompt = pickle.loads(pickle.dumps(vlm.format_prompt("What is it?", ["The cat is red."])))
    assert prompt.question == "What is it?"
    assert prompt.facts == ("The cat is red.",)
    assert prompt[slice(*prompt.user)] == "The cat is red. What is it?"
    with pytest.raises(TypeError, match="list of sentences"):
        vlm.format_prompt("What is it?", "The cat is red.")


def test_style_from_the_checkpoint_and_from_the_config(checkpoint: Path, tmp_path: Path) -> None:
    """Option over file over family; mistakes are named."""
    folder = tmp_path / "styled"
    shutil.copytree(checkpoint, folder)
    file = folder / "rv_edit_prompt.json"
    file.write_text(json.dumps({"yes_no": ["yes", "no"], "fact_separator": "\n"}))
    styled = load_vlm(str(folder))
    assert styled.prompts.style.yes_no == ("yes", "no")
    assert styled.format_prompt("Q", ["f."])[slice(*styled.format_prompt("Q", ["f."]).user)] == "f.\nQ"
    assert load_vlm(str(folder), prompt_style={"yes_no": ["red", "blue"]}).prompts.style.yes_no == ("red", "blue")
    with pytest.raises(ConfigError, match=r"prompt_style: unknown field 'colour'.*template"):
        load_vlm(str(folder), prompt_style={"colour": 1})
    with pytest.raises(ConfigError, match="same token"):
        load_vlm(str(folder), prompt_style={"yes_no": ["red", "red"]})
    for style, message in (
        ({"yes_no": "yes"}, "yes_no must be two answers"),
        ({"yes_no": [True, False]}, r"two answers .*\[True, False\]; YAML reads yes and no without quotes"),
        ({"yes_no": ["", "No"]}, "yes_no must be two answers"),
        ({"yes_no": ["Yes", " "]}, "two answers|is empty|same token"),
        ({"yes_no": {"a": 1, "b": 2}}, "two answers"),
        ({"yes_no": None}, "two answers"),
        ({"template": None}, "prompt_style: template must be text, not None"),
        ({"kind": ["chat"]}, "kind must be text"),
        ({"image_token": 5}, "image_token must be text or null, not 5"),
        ({"answer_prefix": 3}, "answer_prefix must be text"),
        ({"fact_separator": None}, "fact_separator must be text"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_vlm(str(folder), prompt_style=style)
    file.write_text("{")
    with pytest.raises(ConfigError, match="not readable as JSON"):
        load_vlm(str(folder))
    file.write_text("[]")
    with pytest.raises(ConfigError, match="must hold an object"):
        load_vlm(str(folder))


def test_style_is_checked() -> None:
    """A template has one place for the text and one for the picture."""
    with pytest.raises(ConfigError, match=r"'\{q\}' must occur exactly once"):
        PromptStyle(template="<image> ASSISTANT:").rendered(None)
    with pytest.raises(ConfigError, match="'<image>' must occur exactly once"):
        PromptStyle(template="{q} ASSISTANT:").rendered(None)
    with pytest.raises(ConfigError, match="template or chat"):
        PromptStyle(kind="poem").rendered(None)
    with pytest.raises(ConfigError, match=r"chat template cannot be used .* give prompt_style\.kind=template and"):
        PromptStyle(kind="chat").rendered(None)
    assert PromptStyle(template="{q}", image_token=None).rendered(None).template == "{q}"


def test_an_added_token_that_is_not_special_is_text_too() -> None:
    """Such a place holder matches whatever is asked for; a long text around it keeps its tokens."""
    from transformers import AddedToken

    tok = tokenizer(picture=False)
    tok.add_tokens([AddedToken("<image>", special=False, normalized=False)])
    encoder = PromptEncoder(tok, PromptStyle(template="USER: <image> {q} ASSISTANT:"))
    assert encoder.image_id in tok("a <image>", split_special_tokens=True)["input_ids"]
    start = "a small cat near the lamp " * 300
    ids = encoder.answer_ids(f"{start}<image> and <image><image>")
    assert encoder.image_id not in ids
    assert tok.decode(ids).replace(" ", "").endswith("<image>and<image><image>")
    plain = encoder.answer_ids(start.strip())
    assert ids[: len(plain)] == plain
    (asked,) = encoder.encode([encoder.format("Is <image> a <image>?", ["<image>"])])
    assert asked.count(encoder.image_id) == 1 and tok.decode(asked).replace(" ", "").count("<image>") == 4


def test_unknown_characters_leave_the_rest_alone() -> None:
    """With a tokenizer that has no bytes to spell them by, text is still tokenised in one piece."""
    tok = qformer_tokenizer()
    style = PromptStyle(template="Question: {q} Answer:", image_token=None, yes_no=("yes", "no"))
    encoder = PromptEncoder(tok, style)
    for text in ("a small \U0001f431 cat near", "\u732b\u732b red", "cat\U0001f431\U0001f431lamp"):
        whole = tok(text, add_special_tokens=False)["input_ids"]
        assert tok.unk_token_id in whole
        assert encoder.answer_ids(text) == whole
        assert encoder.encode([encoder.format(text)]) == [tok(f"Question: {text} Answer:")["input_ids"]]
    spelled = PromptEncoder(tokenizer(), PromptStyle(template="USER: <image> {q} ASSISTANT:"))
    (ids,) = spelled.encode([spelled.format("Is <unk> a word?")])
    assert spelled.tokenizer.unk_token_id not in ids  # written out it is text


def test_a_template_that_begins_a_text_begins_it_once() -> None:
    """Chat templates may write the beginning themselves; what stands before an answer is part of it."""
    tok = tokenizer()
    for template in ("<s>USER: <image> {q} ASSISTANT:", "USER: <image> {q} ASSISTANT:"):
        encoder = PromptEncoder(tok, PromptStyle(template=template))
        (ids,) = encoder.encode([encoder.format("What is it?")])
        assert ids[0] == tok.bos_token_id and ids.count(tok.bos_token_id) == 1
    tok = byte_level()
    style = PromptStyle(template="<|image_pad|>{q}", image_token="<|image_pad|>", answer_prefix=" ")
    blank, none = PromptEncoder(tok, style), PromptEncoder(tok, replace(style, answer_prefix=""))
    assert blank.answer_ids("cat") == none.answer_ids(" cat") != none.answer_ids("cat")
