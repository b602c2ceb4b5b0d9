"""From a checkpoint's files to a model on its device: in one piece, spread over several GPUs, or quantised."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from data_modules.hub_errors import first_line
from rv_edit.errors import ConfigError
from rv_edit.vlm.files import Origin

log = logging.getLogger(__name__)

QUANTISE = ("8bit", "4bit")
DEVICE_MAPS = ("auto", "balanced", "sequential")
EXTRA = "pip install 'rv-edit[gpu]'"
"""What installs the packages that only large models on GPUs need."""


@dataclass(frozen=True)
class Placement:
    """Where the weights go and in which numbers.

    Attributes:
        device: Of this process.
        device_map: ``None``: all on ``device``; ``auto``, ``balanced`` or ``sequential``: over all GPUs in sight.
        quantise: ``None``, ``8bit`` or ``4bit``: linear layers of the language model and the merger. The vision tower,
            which keys are made of, and the head keep their numbers.
    """

    device: torch.device
    device_map: str | None = None
    quantise: str | None = None

    def check(self) -> None:
        """Refuse what this machine cannot do, before anything is read.

        Raises:
            ConfigError: an unknown value, no GPU, a package that is not installed, or two that exclude each other.
        """
        if self.device_map is not None:
            _one_of("device_map", self.device_map, DEVICE_MAPS)
            _needs(f"device_map={self.device_map}", ["accelerate"])
        if self.quantise is not None:
            _one_of("quantise", self.quantise, QUANTISE)
            _needs(f"quantise={self.quantise}", ["bitsandbytes", "accelerate"])
            if self.device.type != "cuda":
                raise ConfigError(f"quantise={self.quantise}: device {self.device} is no GPU; give trainer=gpu")

    @property
    def moves(self) -> bool:
        """Whether the model is loaded in main memory and moved; otherwise the library puts it where it belongs."""
        alone = self.device_map is None and self.quantise is None
        return alone and (self.device.type != "cuda" or find_spec("accelerate") is None)

    def options(self, config: Any, dtype: torch.dtype) -> dict[str, Any]:
        """What ``from_pretrained`` is told."""
        if self.moves:
            return {}
        told: dict[str, Any] = {"device_map": self.device_map or {"": self.device}}
        if self.quantise is not None:
            told["quantization_config"] = _quantisation(self.quantise, config, dtype)
        return told


def load_weights(origin: Origin, dtype: torch.dtype, attention: str | None, placement: Placement) -> Any:
    """The model, frozen and in eval mode.

    Raises:
        ConfigError: weights that are missing, of another shape or unreadable, or a model that does not fit.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    try:
        config = AutoConfig.from_pretrained(origin.path, revision=origin.revision)
        told = placement.options(config, dtype)
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            origin.path,
            revision=origin.revision,
            dtype=dtype,
            attn_implementation=attention,
            output_loading_info=True,
            **told,
        )
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"{origin.name}: does not fit on {placement.device} ({first_line(error)}); "
            "give model.vlm.quantise=8bit or 4bit, or model.vlm.device_map=auto with several GPUs"
        ) from error
    except Exception as error:  # unreadable or mismatched files, an attention that is not installed
        raise origin.error("the weights cannot be loaded", error) from error
    model, info = loaded
    check_info(origin, info)
    _check_map(origin, getattr(model, "hf_device_map", None) or {}, placement)
    model = model.to(placement.device) if placement.moves else model
    return model.eval().requires_grad_(False)


def check_info(origin: Origin, info: Any) -> None:
    """What the library says of loading: a weight that the files lack would be random, and is no matter of a warning.

    Tied weights are stored once and count as found. Weights that the model has no place for are said and left out.

    Raises:
        ConfigError: weights are missing or of another shape.
    """
    for problem in ("missing_keys", "mismatched_keys"):
        keys = sorted(_name(key) for key in info.get(problem, ()))
        if keys:
            raise origin.error(
                f"{len(keys)} weights are {problem.split('_')[0]} ({_some(keys)}) and would be random; "
                "the checkpoint is not complete, or of another class"
            )
    unexpected = sorted(_name(key) for key in info.get("unexpected_keys", ()))
    if unexpected:
        log.warning("%s: %d weights have no place in the model (%s)", origin.name, len(unexpected), _some(unexpected))


def _check_map(origin: Origin, spread: dict[str, Any], placement: Placement) -> None:
    """Parts in main memory or on a disk would be carried to the GPU at every pass, and could not be hashed."""
    away = sorted(name for name, where in spread.items() if str(where) in ("cpu", "disk"))
    if away and placement.device.type == "cuda":
        raise ConfigError(
            f"{origin.name}: {len(away)} parts do not fit on the GPUs ({_some(away)}); "
            "give more GPUs, or model.vlm.quantise=4bit"
        )


def _quantisation(quantise: str, config: Any, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    kept = kept_modules(config)
    if quantise == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=kept)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype, llm_int8_skip_modules=kept
    )


def kept_modules(config: Any) -> list[str]:
    """Full names of the vision tower and of the head, found in a model without weights."""
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    names = {id(module): name for name, module in model.named_modules()}
    return [names[id(model.get_encoder("image"))], names[id(model.get_output_embeddings())]]


def _needs(what: str, packages: Iterable[str]) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ConfigError(f"{what} needs {' and '.join(missing)}, not installed here: {EXTRA}")
    if not torch.cuda.is_available():
        raise ConfigError(f"{what} needs a CUDA GPU, and torch sees none here")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value!r} is unknown; use null, {', '.join(allowed)}")


def _name(key: Any) -> str:
    """A weight's name; of another shape the library gives the shapes as well."""
    return str(key[0]) if isinstance(key, tuple) else str(key)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
