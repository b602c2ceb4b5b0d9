"""The four configurations of ``conf/model/`` load checkpoints in the hub's layouts, by nothing but a folder's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from safetensors.torch import load_file

from rv_edit.cli import conf_dir
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, load_vlm
from tests.vlm.hub_layouts import FAMILY, LAYOUTS, read, shard, write

CASES = [(config, layout) for config, layouts in LAYOUTS.items() for layout in layouts]


def options(config: str, *more: str) -> DictConfig:
    """``conf/model/<config>.yaml`` as a command gets it."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=[f"model={config}", *more])
    OmegaConf.resolve(cfg.model)
    return cfg


def load(config: str, folder: Path, *more: str) -> VLM:
    """As a run loads it, nothing overridden but where it lies."""
    vlm: VLM = instantiate(options(config, f"model.vlm.name={folder}", *more).model.vlm, device="cpu", _convert_="all")
    return vlm


def refused(config: str, folder: Path, *more: str) -> str:
    """The one line that loading ends with."""
    with pytest.raises(Exception) as caught:  # Hydra wraps what it calls
        load(config, folder, *more)
    error = caught.value if isinstance(caught.value, ConfigError) else caught.value.__cause__
    assert isinstance(error, ConfigError), caught.value
    assert "\n" not in str(error)
    return str(error)


@pytest.fixture(scope="module")
def built(build: Callable[[str], Path]) -> Callable[[str], Path]:
    """One tiny checkpoint a family, as ``save_pretrained`` writes it."""
    kept: dict[str, Path] = {}
    return lambda family: kept.setdefault(family, build(family)) if family not in kept else kept[family]


@pytest.fixture(scope="module")
def lay(built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """A new folder in one of the layouts."""

    def make(config: str, layout: str) -> Path:
        return LAYOUTS[config][layout](built(FAMILY[config]), tmp_path_factory.mktemp("hub") / "checkpoint")

    return make


def weights_of(vlm: VLM) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vlm.model.state_dict().items() if name != "lm_head.weight"}


@pytest.mark.parametrize(("config", "layout"), CASES, ids=lambda text: text.replace(" ", "_"))
def test_a_layout_loads_and_is_the_same_model(
    config: str,
    layout: str,
    lay: Callable[[str, str], Path],
    built: Callable[[str], Path],
    images: list[Image.Image],
) -> None:
    """Every weight arrives, in bf16; words and pictures become the ids and pixels of the tokenizer's own file."""
    vlm = load(config, lay(config, layout))
    plain = load_vlm(str(built(FAMILY[config])), dtype="bfloat16")
    mine, theirs = weights_of(vlm), weights_of(plain)
    assert mine.keys() == theirs.keys()
    for name, value in theirs.items():
        # the hub's files may be fp16, which rounds before bf16 does
        assert mine[name].dtype == value.dtype == torch.bfloat16, name
        assert torch.allclose(mine[name].float(), value.float(), rtol=2**-7, atol=1e-6), name
    head = vlm.model.get_output_embeddings().weight
    assert torch.equal(head, vlm.model.get_input_embeddings().weight) == (layout == "tied")
    assert vlm.preprocessing == plain.preprocessing
    assert type(vlm.processor.image_processor).__name__.endswith("Pil")
    assert vlm.batch_tokens == options(config).model.vlm.batch_tokens
    # the default style of the family, spelled out in the configuration
    assert vlm.prompts.style == plain.prompts.style
    prompt = vlm.format_prompt("What colour is the cat?", ["The mat is blue."])
    assert prompt == plain.format_prompt("What colour is the cat?", ["The mat is blue."])
    words = vlm.tokenizer.convert_ids_to_tokens(vlm.prompts.answer_ids("the cat"))
    assert words == plain.tokenizer.convert_ids_to_tokens(plain.prompts.answer_ids("the cat"))
    feats = vlm.encode_images(images[:2], pool_layers=[1])
    assert all(row.tokens.dtype == torch.bfloat16 for row in feats.rows)
    assert feats.pooled[1].dtype == torch.float32
    scores = vlm.score(feats, [prompt] * 2, [["red", "a small dog"]] * 2)
    assert all(value < 0 for score in scores for value in score.logp)
    assert vlm.yes_no(feats, [prompt] * 2).isfinite().all()


def test_the_start_of_a_text_is_the_tokenizers(lay: Callable[[str, str], Path], built: Callable[[str], Path]) -> None:
    """InstructBLIP's texts begin with the end token, as its own tokenizer has it, and the Q-Former's in its frame."""
    vlm = load("instructblip_7b", lay("instructblip_7b", "of 2024"))
    ids = vlm.prompts.encode([vlm.format_prompt("What is it?")])[0]
    assert vlm.tokenizer.convert_ids_to_tokens(ids[:1]) == ["</s>"]
    assert "<s>" not in vlm.tokenizer.convert_ids_to_tokens(ids)
    plain = load_vlm(str(built("instructblip")))
    prompt = vlm.format_prompt("What colour is the cat?")
    assert vlm.instruction_ids([prompt]) == plain.instruction_ids([prompt])  # type: ignore[attr-defined]


def test_weights_without_a_place_are_said(lay: Callable[[str, str], Path], caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log; the library's own silence on position ids is kept."""
    with caplog.at_level("WARNING", logger="rv_edit"):
        load("llava_1_5_7b", lay("llava_1_5_7b", "of 2023"))
    assert not caplog.messages
    folder = lay("llava_1_5_7b", "by modules")
    weights = load_file(folder / "model.safetensors")
    shard(folder, {**weights, "model.extra.weight": torch.zeros(2)}, 2)
    with caplog.at_level("WARNING", logger="rv_edit"):
        load("llava_1_5_7b", folder)
    assert [message for message in caplog.messages if "1 weights have no place" in message and "extra" in message]


def test_a_missing_head_stops_unless_it_is_tied(lay: Callable[[str, str], Path]) -> None:
    """The library makes up a random one and warns."""
    folder = lay("qwen3_vl_4b", "tied")
    config = read(folder / "config.json")
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = False
    write(folder / "config.json", config)
    text = refused("qwen3_vl_4b", folder)
    assert "1 weights are missing (lm_head.weight)" in text
    assert text.endswith(f"hf download Qwen/Qwen3-VL-4B-Instruct --revision main --local-dir {folder}")


def test_partial_downloads(lay: Callable[[str, str], Path]) -> None:
    """Each names the file and the command that gets it, before anything is loaded."""
    folder = lay("llava_1_5_7b", "of 2025")
    command = f"hf download llava-hf/llava-1.5-7b-hf --revision main --local-dir {folder}"
    second = folder / "model-00002-of-00003.safetensors"
    whole = second.read_bytes()

    second.unlink()
    text = refused("llava_1_5_7b", folder)
    assert f"{second} is missing, which model.safetensors.index.json names" in text and text.endswith(command)
    for content, what in (
        (whole[:-100], f"is cut off ({len(whole) - 100:,} of {len(whole):,} bytes)"),
        (whole[:40], "is cut off (40 bytes)"),
        (b"", "is not a safetensors file"),
        (b"<html>not found</html>" * 9, "is not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a pointer of git-lfs"),
    ):
        second.write_bytes(content)
        text = refused("llava_1_5_7b", folder)
        assert f"{second} {what}" in text and text.endswith(command), text
    second.write_bytes(whole)

    index = folder / "model.safetensors.index.json"
    kept = index.read_text()
    index.write_text(kept[:50])
    assert f"{index} is not readable as JSON" in refused("llava_1_5_7b", folder)
    write(index, {"weight_map": {}})
    assert f"{index} names no file of weights" in refused("llava_1_5_7b", folder)
    index.unlink()
    text = refused("llava_1_5_7b", folder)
    assert f"no weights in {folder}" in text and text.endswith(command)
    index.write_text(kept)

    for name, what in (("preprocessor_config.json", "processor cannot be loaded"), ("config.json", "no config.json")):
        file = folder / name
        kept = file.read_text()
        file.unlink()
        text = refused("llava_1_5_7b", folder)
        assert what in text and text.endswith(command)
        file.write_text(kept)
    load("llava_1_5_7b", folder)


def test_files_of_two_checkpoints(lay: Callable[[str, str], Path], tmp_path: Path) -> None:
    """A tokenizer that knows more words than the model: a GPU would stop at some later prompt, without a reason."""
    folder = lay("llava_1_5_7b", "by modules")
    state = read(folder / "tokenizer.json")
    state["model"]["vocab"] |= {f"word{number}": 431 + number for number in range(20)}
    write(folder / "tokenizer.json", state)
    assert "knows 451 tokens, its model 431: files of different checkpoints" in refused("llava_1_5_7b", folder)


def test_another_class(lay: Callable[[str, str], Path]) -> None:
    """An unknown one is refused by name; a text-only model under a known name by what it lacks."""
    folder = lay("qwen3_vl_8b", "of 2025")
    config = read(folder / "config.json")
    write(folder / "config.json", {**config, "model_type": "llava_next"})
    assert "model type 'llava_next' is unknown; known families: instructblip, llava, qwen3_vl" in refused(
        "qwen3_vl_8b", folder
    )
    for odd in (["llava"], {}, 7, None):
        write(folder / "config.json", {**config, "model_type": odd})
        assert f"model type {odd!r} is unknown; known families" in refused("qwen3_vl_8b", folder)
    write(folder / "config.json", config)
    weights = {name: value for file in folder.glob("model-*") for name, value in load_file(file).items()}
    for file in folder.glob("model-*"):
        file.unlink()
    shard(folder, {name: value for name, value in weights.items() if "visual" not in name}, 2)
    text = refused("qwen3_vl_8b", folder)
    assert "weights are missing (model.visual." in text and "or of another class" in text


def test_yes_and_no(lay: Callable[[str, str], Path]) -> None:
    """One token each in every configuration; words that are not, or not known, are refused with their pieces."""
    for config in LAYOUTS:
        assert options(config).model.vlm.yes_no_tokens == 1
    folder = lay("llava_1_5_7b", "of 2025")
    text = refused("llava_1_5_7b", folder, "model.vlm.prompt_style.yes_no=[absolutely,No]")
    assert "'absolutely' as" in text and "not 1" in text and "prompt_style.yes_no" in text
    assert "same token" in refused("llava_1_5_7b", folder, "model.vlm.prompt_style.yes_no=[Yes,Yes]")
    assert load("llava_1_5_7b", folder, "model.vlm.yes_no_tokens=null").prompts.style.yes_no == ("Yes", "No")
