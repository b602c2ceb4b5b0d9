"""Pocket VLMs of other classes: they begin with what the elder, the trained pocket LLaVA, has learned.

A class whose decoder is the same takes it as it is; one whose attention differs takes every matrix that has a place
and learns the rest.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from rv_edit.pocket.tokenizer import build_tokenizer
from rv_edit.pocket.training.build import Size, build_llava, build_processor
from rv_edit.pocket.training.build_instructblip import build_instructblip
from rv_edit.pocket.training.build_qwen3vl import build_qwen3vl
from rv_edit.pocket.training.families import HEAD, TAIL, Family, Llava


def weights_folder() -> Path:
    """Where the shipped weights lie."""
    return Path(str(files("rv_edit.pocket"))) / "weights"


def build_elder(folder: Path) -> Llava:
    """The trained pocket LLaVA, frozen."""
    from transformers import LlavaForConditionalGeneration

    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
    return Llava(model, build_processor(build_tokenizer()))


BUILDERS = {"instructblip": build_instructblip, "qwen3vl": build_qwen3vl}
STYLES: dict[str, dict[str, Any]] = {
    "llava": {"template": f"{HEAD}<image>{{q}} {TAIL}", "yes_no": ["yes", "no"]},
    "instructblip": {"template": f"{HEAD} {{q}} {TAIL}", "yes_no": ["yes", "no"]},
    "qwen3vl": {"yes_no": ["yes", "no"]},
}
"""How each is asked: the fields of a prompt style that differ from its family's."""


def save(family: Family, name: str, folder: Path) -> None:
    """Write model (float16), processor and prompt style, in the layout of the hub."""
    folder.mkdir(parents=True, exist_ok=True)
    family.model.generation_config.do_sample = False  # what it says is what it finds likeliest, whoever loads it
    family.model.half().save_pretrained(folder)
    family.processor.save_pretrained(folder)
    (folder / "rv_edit_prompt.json").write_text(json.dumps(STYLES[name], indent=2) + "\n")


def family_of(name: str, elder: Path, seed: int) -> tuple[Family, Llava | None]:
    """A model to train, and the trained one it begins with, if it is not the elder itself."""
    if name == "llava":
        tokenizer = build_tokenizer()
        return Llava(build_llava(tokenizer, Size(), seed), build_processor(tokenizer)), None
    trained = build_elder(elder)
    return BUILDERS[name](trained, Size(), seed), trained
