"""Edits with facts, and requests about them, for the tests of the suite builder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from data_modules.qa_record import QARecord
from data_modules.records import ImageRef
from rv_edit.benchmark.building.plan import EditPlan
from rv_edit.benchmark.building.requests import ImageRequest, Subject, TextRequest
from rv_edit.benchmark.building.settings import BuildSettings, read_settings
from rv_edit.cli import conf_dir

FACTS = ("The cat is red.", "Cats purr.", "The mat is blue.")


def record(name: str = "q1", facts: tuple[str, ...] = FACTS, **extras: Any) -> QARecord:
    image = ImageRef.from_pil(Image.linear_gradient("L").convert("RGB").rotate(sum(map(ord, name)) % 360))
    return QARecord(name, image, f"What does {name} do?", ("purr", "bark", "moo", "sing"), "purr", facts, extras)


def subject(name: str = "q1", facts: tuple[int, ...] = (0, 1, 2)) -> Subject:
    one = record(name)
    return Subject(one.as_edit(), one, facts)


def plan(name: str = "q1", chain: tuple[int, ...] = (1,), caption: str = "A cat sits.", **more: Any) -> EditPlan:
    one = record(name, **more)
    return EditPlan(one.as_edit(), one, chain, caption)


def text_request(prompt: str = "Please rephrase: x", seed: int = 7, item: str = "q1/t") -> TextRequest:
    return TextRequest(item, "t_gen", prompt, seed, subject())


def image_request(prompt: str, seed: int, item: str = "q1/i-a-0", suite: str = "i_gen") -> ImageRequest:
    return ImageRequest(item, suite, prompt, seed, 0, subject())


def shipped(seed: int = 0, **changes: Any) -> BuildSettings:
    """The options of ``conf/task/build_suites.yaml``; ``t_gen__count=3`` changes one of a part."""
    options = yaml.safe_load((Path(conf_dir()) / "task/build_suites.yaml").read_text(encoding="utf-8"))
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        if inner:
            options[outer][inner] = value
        else:
            options[outer] = value
    return read_settings(options, seed)
