"""Every family the package defines, as a tiny checkpoint built by ``tiny_<name of its file>.py`` beside this file.

Such a file supplies ``build(folder, seed=0)``, ``ANSWER_JOINT`` and ``naive_logits(vlm, image, prompt, answer_ids)``: a
plain full forward of the stock model on the stock processor's inputs, which knows nothing of this project.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rv_edit.vlm import VLM, known_families, load_vlm

FAMILIES = sorted(known_families())


def builder(family: str) -> ModuleType:
    """The module that builds a tiny checkpoint of a family."""
    home = known_families()[family].__module__.rpartition(".")[2]
    path = Path(__file__).with_name(f"tiny_{home}.py")
    assert path.exists(), f"family {family} has no {path.name}: the contract tests cannot see it"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny checkpoint of a family by name."""
    return lambda family: builder(family).build(tmp_path_factory.mktemp(family))


@pytest.fixture(scope="session", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """One family after the other."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def tiny(family: str) -> ModuleType:
    """Builder and naive reference of the family."""
    return builder(family)


@pytest.fixture(scope="session")
def checkpoint(family: str, build: Callable[[str], Path]) -> Path:
    """A saved tiny checkpoint; not to be changed."""
    return build(family)


@pytest.fixture(scope="session")
def vlm(checkpoint: Path) -> VLM:
    """The checkpoint, loaded as from the hub."""
    return load_vlm(str(checkpoint))


@pytest.fixture(scope="session")
def images() -> list[Image.Image]:
    """Four pictures of different shapes."""
    rng = np.random.default_rng(7)
    return [
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for height, width in ((32, 32), (40, 64), (70, 33), (48, 48))
    ]


@pytest.fixture(scope="session")
def naive(vlm: VLM, tiny: ModuleType) -> Any:
    """``naive(image, prompt, answer) -> per-token log-probabilities`` by the reference forward."""

    def logp(image: Image.Image, prompt: str, answer: str) -> torch.Tensor:
        ids = vlm.prompts.answer_ids(answer)
        table = tiny.naive_logits(vlm, image, prompt, ids).log_softmax(dim=-1)
        return torch.stack([table[len(table) - len(ids) - 1 + step, token] for step, token in enumerate(ids)])

    return logp
