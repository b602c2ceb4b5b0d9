"""Tiny checkpoints laid out as the hub's repositories are: file names, key names, class names and old spellings.

What ``save_pretrained`` of one release writes is read back by that release in any case. These folders are what other
releases wrote years apart: shards with an index, processors in ``preprocessor_config.json``, tokenizer classes that
have been renamed since, weights under names that modules no longer have.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Layout = Callable[[Path, Path], Path]
"""A folder that ``save_pretrained`` wrote and a new one -> the new one, as the hub would have it."""


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def shard(folder: Path, weights: dict[str, torch.Tensor], count: int) -> None:
    """Weights in ``count`` files with an index, as large checkpoints have them."""
    (folder / "model.safetensors").unlink(missing_ok=True)
    names = sorted(weights)
    step = -(-len(names) // count)
    where = {}
    for number in range(count):
        file = f"model-{number + 1:05d}-of-{count:05d}.safetensors"
        part = {name: weights[name].contiguous() for name in names[number * step : (number + 1) * step]}
        save_file(part, folder / file, metadata={"format": "pt"})
        where.update(dict.fromkeys(part, file))
    total = sum(value.nbytes for value in weights.values())
    write(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})


def renamed(weights: dict[str, torch.Tensor], names: dict[str, str]) -> dict[str, torch.Tensor]:
    """Weights under other names: the first beginning that fits is replaced."""
    out = {}
    for name, value in weights.items():
        old = next((old for old in names if name.startswith(old)), None)
        out[name if old is None else names[old] + name.removeprefix(old)] = value
    assert set(out) != set(weights)
    return out


def with_old_spelling(config: dict[str, Any], dtype: str) -> dict[str, Any]:
    """``torch_dtype`` as before version 5, in nested configurations as well, and no trace of the release."""
    out = {
        name: with_old_spelling(value, dtype) if isinstance(value, dict) else value for name, value in config.items()
    }
    if out.pop("dtype", None):
        out["torch_dtype"] = dtype
    rope = out.get("rope_parameters")
    if rope is not None and rope.keys() == {"rope_theta", "rope_type"} and rope["rope_type"] == "default":
        out |= {"rope_theta": out.pop("rope_parameters")["rope_theta"], "rope_scaling": None}
    out.pop("transformers_version", None)
    return out


def sentencepiece_style(tokenizer: Path) -> None:
    """A Llama tokenizer as converted from sentencepiece: the normalizer marks words, nothing splits them."""
    state = read(tokenizer)
    state["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ],
    }
    state["pre_tokenizer"] = None
    write(tokenizer, state)


def apart(folder: Path, processor_class: str, kind: str, kept: tuple[str, ...]) -> None:
    """The image processor in a file of its own, and in ``processor_config.json`` what else was ``kept`` there."""
    whole = read(folder / "processor_config.json")
    pixels = {**whole.pop("image_processor"), "image_processor_type": kind, "processor_class": processor_class}
    write(folder / "preprocessor_config.json", pixels)
    (folder / "processor_config.json").unlink()
    if kept:
        write(
            folder / "processor_config.json", {"processor_class": processor_class, **{key: whole[key] for key in kept}}
        )


def llava_of_2025(source: Path, folder: Path) -> Path:
    """llava-hf/llava-1.5-7b-hf as it is now: fp16 in three files, a template in ``chat_template.json``."""
    shutil.copytree(source, folder)
    weights = renamed(load_file(source / "model.safetensors"), {"vision_tower.": "vision_tower.vision_model."})
    shard(folder, {name: value.half() for name, value in weights.items()}, 3)
    write(folder / "config.json", with_old_spelling(read(folder / "config.json"), "float16"))
    apart(
        folder, "LlavaProcessor", "CLIPImageProcessor",
        ("image_token", "num_additional_image_tokens", "patch_size", "vision_feature_select_strategy"),
    )  # fmt: skip
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").unlink()
    write(folder / "chat_template.json", {"chat_template": template})
    sentencepiece_style(folder / "tokenizer.json")
    settings = read(folder / "tokenizer_config.json")
    for name in ("backend", "extra_special_tokens"):
        settings.pop(name, None)
    settings |= {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True, "add_eos_token": False}
    write(folder / "tokenizer_config.json", {**settings, "extra_special_tokens": {"image_token": "<image>"}})
    return folder


def llava_of_2023(source: Path, folder: Path) -> Path:
    """The same when it was new: no ``processor_config.json``, no template, the tower's position ids as a weight."""
    llava_of_2025(source, folder)
    for name in ("processor_config.json", "chat_template.json"):
        (folder / name).unlink()
    weights = {name: value for file in folder.glob("model-*") for name, value in load_file(file).items()}
    for file in folder.glob("model-*"):
        file.unlink()
    count = weights["vision_tower.vision_model.embeddings.position_embedding.weight"].shape[0]
    weights["vision_tower.vision_model.embeddings.position_ids"] = torch.arange(count)[None]
    shard(folder, weights, 2)
    return folder


def llava_by_modules(source: Path, folder: Path) -> Path:
    """As releases since 2025 name modules: ``model.language_model``, ``model.vision_tower``, ``lm_head``; one file."""
    shutil.copytree(source, folder)
    names = {
        "language_model.lm_head.": "lm_head.",
        "language_model.model.": "model.language_model.",
        "vision_tower.": "model.vision_tower.",
        "multi_modal_projector.": "model.multi_modal_projector.",
    }
    weights = renamed(load_file(source / "model.safetensors"), names)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def instructblip_of_2024(source: Path, folder: Path) -> Path:
    """Salesforce/instructblip-vicuna-7b: fp32 in four files, two tokenizers, ``</s>`` at the beginning of a text."""
    shutil.copytree(source, folder)
    shard(folder, load_file(source / "model.safetensors"), 4)
    write(folder / "config.json", with_old_spelling(read(folder / "config.json"), "float32"))
    apart(folder, "InstructBlipProcessor", "BlipImageProcessor", ("num_query_tokens",))
    sentencepiece_style(folder / "tokenizer.json")
    state = read(folder / "tokenizer.json")
    end = next(token["id"] for token in state["added_tokens"] if token["content"] == "</s>")
    for piece in (*state["post_processor"]["single"], *state["post_processor"]["pair"]):
        if "SpecialToken" in piece:
            piece["SpecialToken"]["id"] = "</s>"
    state["post_processor"]["special_tokens"] = {"</s>": {"id": "</s>", "ids": [end], "tokens": ["</s>"]}}
    write(folder / "tokenizer.json", state)
    settings = read(folder / "tokenizer_config.json")
    settings.pop("backend", None)
    settings |= {"tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": True, "bos_token": "</s>"}
    write(folder / "tokenizer_config.json", {**settings, "eos_token": "</s>", "unk_token": "</s>"})
    asking = read(folder / "qformer_tokenizer/tokenizer_config.json")
    asking.pop("backend", None)
    write(
        folder / "qformer_tokenizer/tokenizer_config.json",
        {**asking, "tokenizer_class": "BertTokenizer", "do_lower_case": True, "truncation_side": "left"},
    )
    return folder


def instructblip_of_2023(source: Path, folder: Path) -> Path:
    """The same when it was new: nothing says how many queries there are, nor what stands for a picture."""
    instructblip_of_2024(source, folder)
    (folder / "processor_config.json").unlink()
    config = read(folder / "config.json")
    config.pop("image_token_index")
    write(folder / "config.json", config)
    return folder


def qwen3_vl(source: Path, folder: Path) -> Path:
    """Qwen/Qwen3-VL-8B-Instruct: bf16 in four files, processors for pictures and videos, a template in two places."""
    shutil.copytree(source, folder)
    weights = load_file(source / "model.safetensors")
    shard(folder, {name: value.bfloat16() for name, value in weights.items()}, 4)
    pixels = read(folder / "preprocessor_config.json")
    pixels |= {"image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen3VLProcessor"}
    write(folder / "preprocessor_config.json", pixels)
    template = read(folder / "chat_template.json")["chat_template"]
    settings = read(folder / "tokenizer_config.json")
    settings.pop("backend", None)
    settings |= {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "bos_token": None, "unk_token": None}
    write(folder / "tokenizer_config.json", {**settings, "chat_template": template})
    return folder


def qwen3_vl_jinja(source: Path, folder: Path) -> Path:
    """With the template as a file of its own."""
    qwen3_vl(source, folder)
    template = read(folder / "chat_template.json")["chat_template"]
    (folder / "chat_template.json").unlink()
    settings = read(folder / "tokenizer_config.json")
    settings.pop("chat_template")
    write(folder / "tokenizer_config.json", settings)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def qwen3_vl_tied(source: Path, folder: Path) -> Path:
    """The 4B: its head is its embedding and not stored; the template only in ``tokenizer_config.json``."""
    qwen3_vl(source, folder)
    (folder / "chat_template.json").unlink()
    weights = {name: value for file in folder.glob("model-*") for name, value in load_file(file).items()}
    for file in folder.glob("model-*"):
        file.unlink()
    del weights["lm_head.weight"]
    shard(folder, weights, 2)
    config = read(folder / "config.json")
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = True
    write(folder / "config.json", config)
    return folder


LAYOUTS: dict[str, dict[str, Layout]] = {
    "llava_1_5_7b": {
        "of 2025": llava_of_2025,
        "of 2023": llava_of_2023,
        "by modules": llava_by_modules,
    },
    "instructblip_7b": {"of 2024": instructblip_of_2024, "of 2023": instructblip_of_2023},
    "qwen3_vl_4b": {"tied": qwen3_vl_tied},
    "qwen3_vl_8b": {"of 2025": qwen3_vl, "jinja": qwen3_vl_jinja},
}
"""By the file of ``conf/model/`` that loads them."""
FAMILY = {
    "llava_1_5_7b": "llava",
    "instructblip_7b": "instructblip",
    "qwen3_vl_4b": "qwen3_vl",
    "qwen3_vl_8b": "qwen3_vl",
}
