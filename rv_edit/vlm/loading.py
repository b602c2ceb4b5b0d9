"""From a name to a model: folders, files of an installed package, the hub; families found by themselves."""

from __future__ import annotations

import importlib
import importlib.resources
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rv_edit.errors import ConfigError
from rv_edit.vlm import fingerprint
from rv_edit.vlm.base import VLM

STYLE_FILE = "rv_edit_prompt.json"
"""Optional file of a checkpoint: fields of :class:`rv_edit.vlm.PromptStyle` that differ from its family's."""

_PACKAGE = "package://"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_checkpoint(name: str) -> str:
    """Where a checkpoint or an artefact is.

    An existing path stays itself; ``package://some.package/weights/x`` is a path inside an installed package; anything
    else is taken for a hub id.

    Raises:
        ConfigError: no such package or path in it, or a path that does not exist.
    """
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
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or not name.strip():
        raise ConfigError(f"checkpoint {name!r}: no such folder")
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
    device: str | None = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    attn_implementation: str | None = "sdpa",
    prompt_style: Mapping[str, Any] | None = None,
) -> VLM:
    """Load a VLM of any known family, frozen and in eval mode.

    Args:
        name: Folder, ``package://`` path or hub id.
        device: Where to put it; ``None`` takes a GPU where there is one.
        dtype: ``float32``, ``bfloat16`` or ``float16``, whatever the checkpoint was saved in.
        revision: Of a hub checkpoint.
        attn_implementation: ``sdpa``, ``eager`` or ``flash_attention_2``.
        prompt_style: Fields of :class:`rv_edit.vlm.PromptStyle` to override; they win over the checkpoint's
            ``rv_edit_prompt.json``, which wins over the family's default.

    Raises:
        ConfigError: unknown family, name, dtype, device or prompt field; missing or mismatched weights; a torchvision
            built for another torch.
    """
    if dtype not in _DTYPES:
        raise ConfigError(f"dtype {dtype!r} is unknown; use {', '.join(_DTYPES)}")
    target = _device(device)
    path = resolve_checkpoint(name)
    check_torchvision()
    family = _family(path, revision)
    try:
        processor = family.load_processor(path, revision)
    except Exception as error:  # tokenizer and processor files fail in many ways, all of them the checkpoint's
        raise ConfigError(f"{name}: its processor cannot be loaded ({_first_line(error)})") from error
    model = _load_model(name, path, revision, _DTYPES[dtype], attn_implementation)
    style = family.default_style.override(_style_file(path, revision), f"{name}/{STYLE_FILE}")
    style = style.override(prompt_style or {}, "prompt_style")
    return family(
        model.to(target),
        processor,
        style,
        name=name,
        fingerprint=fingerprint.of_model(model),
        preprocessing=fingerprint.of_settings(processor.image_processor.to_dict()),
    )


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


def _family(path: str, revision: str | None) -> type[VLM]:
    from transformers import PretrainedConfig

    try:
        config, _ = PretrainedConfig.get_config_dict(path, revision=revision)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: no config.json there, nor can it be had from a hub ({_first_line(error)})"
        ) from error
    if not config:
        raise ConfigError(f"{path}: no config.json there; it is no checkpoint")
    families = known_families()
    model_type = config.get("model_type")
    if model_type not in families:
        raise ConfigError(f"{path}: model type {model_type!r} is unknown; known families: {', '.join(families)}")
    return families[model_type]


def _load_model(name: str, path: str, revision: str | None, dtype: torch.dtype, attention: str | None) -> Any:
    from transformers import AutoModelForImageTextToText

    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            path, revision=revision, dtype=dtype, attn_implementation=attention, output_loading_info=True
        )
    except Exception as error:  # unreadable, truncated or mismatched files, an attention that is not installed
        raise ConfigError(f"{name}: the weights cannot be loaded ({_first_line(error)})") from error
    model, info = loaded
    for problem in ("missing_keys", "mismatched_keys"):
        keys = sorted(str(key) for key in info.get(problem, ()))
        if keys:
            shown = ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
            raise ConfigError(
                f"{name}: {len(keys)} weights are {problem.split('_')[0]} ({shown}) and would be random; "
                "get the complete checkpoint"
            )
    return model.eval().requires_grad_(False)


def _style_file(path: str, revision: str | None) -> dict[str, Any]:
    from transformers.utils.hub import cached_file

    found = cached_file(
        path,
        STYLE_FILE,
        revision=revision,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if found is None:
        return {}
    try:
        style = json.loads(Path(found).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{found}: not readable as JSON ({_first_line(error)})") from error
    if not isinstance(style, dict):
        raise ConfigError(f"{found}: must hold an object of prompt style fields")
    return style


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
