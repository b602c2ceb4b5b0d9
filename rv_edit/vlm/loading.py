"""From a name to a model: folders, files of an installed package, the hub; families found by themselves."""

from __future__ import annotations

import importlib
import importlib.resources
import json
import logging
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from data_modules.hub_errors import first_line
from rv_edit.errors import ConfigError
from rv_edit.vlm import fingerprint
from rv_edit.vlm.base import VLM
from rv_edit.vlm.files import Origin, check_weights, commit, find
from rv_edit.vlm.weights import Placement, load_weights

log = logging.getLogger(__name__)

STYLE_FILE = "rv_edit_prompt.json"
"""Optional file of a checkpoint: fields of :class:`rv_edit.vlm.PromptStyle` that differ from its family's."""

_PACKAGE = "package://"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_checkpoint(name: str) -> str:
    """Where a checkpoint or an artefact is.

    An existing path stays itself; ``package://some.package/weights/x`` is a path inside an installed package; anything
    else is taken for a hub id.

    Raises:
        ConfigError: no such package or path in it, a path that does not exist, or what cannot be a hub id.
    """
    if not name.strip():
        raise ConfigError(f"checkpoint {name!r}: no such folder")
    if name.startswith(_PACKAGE):
        package, _, inside = name.removeprefix(_PACKAGE).partition("/")
        try:
            path = Path(str(importlib.resources.files(package))) / inside
        except (ModuleNotFoundError, TypeError, ValueError) as error:
            raise ConfigError(f"{name}: there is no package {package!r}; name a folder or a hub id") from error
        if not path.exists():
            raise ConfigError(f"{name}: package {package!r} has no {inside!r}; this installation came without it")
        return str(path)
    path = Path(name).expanduser()
    if path.exists():
        return str(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ConfigError(f"checkpoint {name!r}: no such folder")
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ConfigError(f"checkpoint {name!r}: neither a folder nor a hub id") from error
    return name


def known_families() -> dict[str, type[VLM]]:
    """``{config.model_type: family}``, from every module of this package that defines a :class:`VLM`."""
    import rv_edit.vlm as package

    families: dict[str, type[VLM]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, VLM) and value.__module__ == module.__name__:
                for model_type in value.model_types:
                    if model_type in families:
                        raise ConfigError(f"model type {model_type!r} is claimed by two families, one is {info.name}")
                    families[model_type] = value
    return dict(sorted(families.items()))


def check_torchvision() -> None:
    """Refuse a torchvision built for another torch: it breaks every model import with a misleading error.

    Raises:
        ConfigError: it is installed and cannot be imported. Not being installed is fine.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
    except Exception as error:  # whatever a mismatched binary raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"torchvision does not fit torch {torch.__version__} ({reason}): "
            "run `pip uninstall torchvision` (it is not needed), or install the build for this torch"
        ) from error


def load_vlm(
    name: str,
    *,
    hub: str | None = None,
    device: str | None = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    attn_implementation: str | None = "sdpa",
    device_map: str | None = None,
    quantise: str | None = None,
    batch_tokens: int | None = None,
    yes_no_tokens: int | None = None,
    prompt_style: Mapping[str, Any] | None = None,
) -> VLM:
    """Load a VLM of any known family, frozen and in eval mode.

    Args:
        name: Folder, ``package://`` path or hub id.
        hub: The hub id that a folder comes from, for messages that say how to get what is missing.
        device: Where to put it; ``None`` takes a GPU where there is one.
        dtype: ``float32``, ``bfloat16`` or ``float16``, whatever the checkpoint was saved in.
        revision: Of a hub checkpoint: branch, tag or commit.
        attn_implementation: ``sdpa``, ``eager`` or ``flash_attention_2``.
        device_map: ``auto`` spreads one model over all GPUs in sight.
        quantise: ``8bit`` or ``4bit``, by bitsandbytes; the vision tower and the head stay as they are.
        batch_tokens: See :attr:`rv_edit.vlm.VLM.batch_tokens`.
        yes_no_tokens: How many tokens yes and no must have in this tokenizer; ``None``: any number.
        prompt_style: Fields of :class:`rv_edit.vlm.PromptStyle` to override; they win over the checkpoint's
            ``rv_edit_prompt.json``, which wins over the family's default.

    Raises:
        ConfigError: unknown family, name, dtype, device or prompt field; files missing or cut off; missing or
            mismatched weights; yes and no unusable; a torchvision built for another torch.
    """
    if dtype not in _DTYPES:
        raise ConfigError(f"dtype {dtype!r} is unknown; use {', '.join(_DTYPES)}")
    placement = Placement(_device(device), device_map, quantise)
    placement.check()
    origin = Origin(name, resolve_checkpoint(name), hub, revision)
    if Path(origin.path).is_file():
        raise ConfigError(f"{name}: is a file; give the folder of the checkpoint")
    check_torchvision()
    folder = find(origin)
    family = _family(origin)
    if folder is not None:
        check_weights(folder, origin)
    try:
        processor = family.load_processor(origin.path, revision)
    except Exception as error:  # tokenizer and processor files fail in many ways, all of them the checkpoint's
        raise origin.error("its processor cannot be loaded", error) from error
    words = set(processor.tokenizer.get_vocab()) - set(processor.tokenizer.added_tokens_encoder)
    if not words:  # the library makes up a tokenizer of special tokens where the file of the words is missing
        raise origin.error("its tokenizer knows no word, for want of a file such as tokenizer.json")
    model = load_weights(origin, _DTYPES[dtype], attn_implementation, placement)
    style = family.default_style.override(_style_file(origin), f"{name}/{STYLE_FILE}")
    style = style.override(prompt_style or {}, "prompt_style")
    vlm = family(
        model,
        processor,
        style,
        name=name,
        fingerprint=fingerprint.of_model(model),
        preprocessing=fingerprint.of_settings(processor.image_processor.to_dict()),
        batch_tokens=batch_tokens,
    )
    vlm.prompts.check_vocabulary(vlm.model.get_input_embeddings().weight.shape[0], name)
    if yes_no_tokens is not None:
        vlm.prompts.check_yes_no(yes_no_tokens)
    at = commit(origin)
    if at is not None and at != revision:
        log.info("%s is at commit %s; model.vlm.revision=%s keeps to it", name, at, at)
    return vlm


def _device(device: str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        target = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device {device!r} is unknown; use cpu, cuda, cuda:1, … or null") from error
    if target.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r}: torch sees no GPU here; use device=cpu")
    return target


def _family(origin: Origin) -> type[VLM]:
    from transformers import PretrainedConfig

    try:
        config, _ = PretrainedConfig.get_config_dict(origin.path, revision=origin.revision)
    except (OSError, ValueError) as error:
        raise origin.error("its config.json can be had neither from a cache nor a hub", error) from error
    if not config:
        raise origin.error("no config.json there; it is no checkpoint")
    families = known_families()
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in families:
        raise ConfigError(f"{origin.name}: model type {model_type!r} is unknown; known families: {', '.join(families)}")
    return families[model_type]


def _style_file(origin: Origin) -> dict[str, Any]:
    from transformers.utils.hub import cached_file

    found = cached_file(
        origin.path,
        STYLE_FILE,
        revision=origin.revision,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if found is None:
        return {}
    try:
        style = json.loads(Path(found).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{found}: not readable as JSON ({first_line(error)})") from error
    if not isinstance(style, dict):
        raise ConfigError(f"{found}: must hold an object of prompt style fields")
    return style
