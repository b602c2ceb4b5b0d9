"""Where weights go: what is refused before anything is read, what the library is told, what a quantised model keeps."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from transformers import AutoConfig

from rv_edit.errors import ConfigError
from rv_edit.tasks.checks import check_devices
from rv_edit.vlm import VLM, load_vlm, weights
from rv_edit.vlm.files import Origin
from rv_edit.vlm.weights import Placement, check_info, kept_modules, load_weights

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


def line(call: Callable[[], Any]) -> str:
    """What it is refused with."""
    with pytest.raises(ConfigError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend which packages, and whether a GPU, are here."""

    def pretend(*names: str, gpu: bool = True) -> None:
        monkeypatch.setattr(weights, "find_spec", lambda name: object() if name in names else None)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)

    return pretend


def test_what_is_refused(installed: Callable[..., None], tmp_path: Path) -> None:
    """Before the folder is even looked at."""
    nowhere = str(tmp_path / "nothing")
    installed()
    assert "quantise=4bit needs bitsandbytes and accelerate, not installed here: pip install 'rv-edit[gpu]'" in line(
        lambda: load_vlm(nowhere, quantise="4bit")
    )
    assert "device_map=auto needs accelerate, not installed here" in line(lambda: load_vlm(nowhere, device_map="auto"))
    installed("accelerate")
    assert "quantise=8bit needs bitsandbytes, not" in line(lambda: load_vlm(nowhere, quantise="8bit"))
    installed("accelerate", "bitsandbytes", gpu=False)
    assert "quantise=8bit needs a CUDA GPU, and torch sees none" in line(lambda: load_vlm(nowhere, quantise="8bit"))
    assert "device_map=auto needs a CUDA GPU" in line(lambda: load_vlm(nowhere, device_map="auto"))
    installed("accelerate", "bitsandbytes")
    assert "device cpu is no GPU; give trainer=gpu" in line(lambda: load_vlm(nowhere, quantise="4bit"))
    assert "quantise='3bit' is unknown; use null, 8bit, 4bit" in line(lambda: load_vlm(nowhere, quantise="3bit"))
    assert "device_map='cpu' is unknown" in line(lambda: load_vlm(nowhere, device_map="cpu"))


def test_what_the_library_is_told(installed: Callable[..., None]) -> None:
    """On the CPU nothing; on a GPU its name where accelerate can load there, else the model is moved."""
    installed()
    assert Placement(CPU).moves and Placement(GPU).moves and Placement(GPU).options(None, torch.bfloat16) == {}
    installed("accelerate")
    assert Placement(CPU).moves and not Placement(GPU).moves
    assert Placement(GPU).options(None, torch.bfloat16) == {"device_map": {"": GPU}}
    assert Placement(GPU, "auto").options(None, torch.bfloat16) == {"device_map": "auto"}


def test_what_does_not_fit() -> None:
    """Parts that the library puts in main memory are named."""
    origin = Origin("big", "big/model")
    spread = {"model.visual": 0, "lm_head": "disk", "model.layers.3": "cpu"}
    assert "2 parts do not fit on the GPUs (lm_head, model.layers.3)" in line(
        lambda: weights._check_map(origin, spread, Placement(GPU, "auto"))
    )
    weights._check_map(origin, {"": 0}, Placement(GPU, "auto"))
    weights._check_map(origin, {"": "cpu"}, Placement(CPU))


def test_out_of_memory(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What helps, in one line."""

    def full(*_args: Any, **_options: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr("transformers.AutoModelForImageTextToText.from_pretrained", full)
    text = line(lambda: load_vlm(str(checkpoint)))
    assert "does not fit on cpu (CUDA out of memory" in text and "quantise=8bit or 4bit" in text


def test_shapes_are_named() -> None:
    """The library gives a mismatch as name and shapes, in some releases."""
    origin = Origin("x", "owner/x")
    info = {"missing_keys": [], "mismatched_keys": {("lm_head.weight", (3, 2), (4, 2))}}
    assert "1 weights are mismatched (lm_head.weight)" in line(lambda: check_info(origin, info))
    check_info(origin, {"missing_keys": set(), "mismatched_keys": set(), "unexpected_keys": set()})


def test_tower_and_head_keep_their_numbers(vlm: VLM, checkpoint: Path) -> None:
    """Found in the class itself, for any family: all vision blocks are in the one, the other makes the logits."""
    tower, head = kept_modules(AutoConfig.from_pretrained(checkpoint))
    blocks = [ref.path for ref in vlm.layer_refs() if ref.block == "vision"]
    layers = [ref.path for ref in vlm.layer_refs() if ref.block == "language"]
    assert blocks and all(path.startswith(f"{tower}.") for path in blocks)
    assert not any(path.startswith(f"{tower}.") for path in layers)
    assert head.endswith("lm_head") and len(vlm.model.get_submodule(head).weight) == vlm.vocab_size


@pytest.mark.skipif(
    find_spec("bitsandbytes") is None or find_spec("accelerate") is None,
    reason="needs bitsandbytes and accelerate",
)
def test_eight_bits(vlm: VLM, checkpoint: Path, images: list[Image.Image]) -> None:
    """Bitsandbytes computes 8 bit on a CPU as well: keys are those of the plain model, scores near them."""
    plain = load_vlm(str(checkpoint), dtype="bfloat16")
    origin = Origin("tiny", str(checkpoint))
    model = load_weights(origin, torch.bfloat16, "sdpa", Placement(CPU, None, "8bit"))
    low = type(vlm)(model, vlm.processor, vlm.prompts.style, name="low", fingerprint="", preprocessing="")
    changed = [name for name, module in model.named_modules() if type(module).__name__ == "Linear8bitLt"]
    assert len(changed) > 10 and not any(name.startswith(tuple(kept_modules(model.config))) for name in changed)
    assert torch.equal(low.embed_vision(images, 1), plain.embed_vision(images, 1))
    prompts = [plain.format_prompt("What is it?")] * 2
    one, other = (m.score(m.encode_images(images[:2]), prompts, [["red", "a dog"]] * 2) for m in (low, plain))
    for left, right in zip(one, other, strict=True):
        assert left.logp == pytest.approx(right.logp, abs=0.5) and left.logp != right.logp


def test_one_model_or_several_processes() -> None:
    """Each process would spread its own over the same GPUs."""

    def cfg(spread: str | None, devices: int) -> Any:
        return OmegaConf.create({"model": {"vlm": {"device_map": spread}}, "trainer": {"devices": devices}})

    assert "give trainer.devices=1 with it" in line(lambda: check_devices(cfg("auto", 4)))
    check_devices(cfg("auto", 1))
    check_devices(cfg(None, 4))
    check_devices(SimpleNamespace(model=SimpleNamespace(vlm={}), trainer=SimpleNamespace(devices=4)))  # type: ignore[arg-type]
