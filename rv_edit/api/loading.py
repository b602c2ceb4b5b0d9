"""From a name to an editor without edits: an option of ``conf/model``, a folder or a hub id, composed as in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_modules.records import RecordError
from rv_edit.composing import compose_parts, option_names
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from data_modules.records import ImageRef
    from rv_edit.editors.reasonedit import ReasonEdit

ANY_MODEL = "auto"
"""The option of ``conf/model`` that takes a name."""
NOT_SAVED = frozenset({"name", "_target_", "text_encoder", "key_space", "tile_pool"})
"""Options of an editor that its edits do not bring along: code, and what is stated apart or belongs to one machine."""


@dataclass(frozen=True)
class Base:
    """The model that edits are made to, as it can be named again.

    Attributes:
        option: of ``conf/model``.
        name: folder, ``package://`` address or hub id of the model.
        revision: of a hub model: the one asked for, else the commit that was loaded; ``None`` for files.
        text_encoder: folder, address or hub id of the sentence encoder.
        editor: options of the editor, as plain data.
    """

    option: str
    name: str
    revision: str | None
    text_encoder: str
    editor: Mapping[str, Any] = field(default_factory=dict)

    @property
    def short_name(self) -> str:
        """What people call the model: its option, or the last part of its name."""
        return self.option if self.option != ANY_MODEL else self.name.rstrip("/").rpartition("/")[2]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def load_editor(
    name: str,
    *,
    revision: str | None = None,
    device: str | None = "cpu",
    sample: Sequence[tuple[ImageRef, str]] = (),
    overrides: Sequence[str] = (),
    saved: Base | None = None,
    folder: Path | None = None,
) -> tuple[ReasonEdit, Base]:
    """Load model and sentence encoder and build an editor.

    Args:
        name: an option of ``conf/model``, a folder, or a hub id.
        revision: of a hub model.
        device: of both; ``None`` takes a GPU where there is one.
        sample: pictures with questions, for a key space that must be measured and for the tiles around variants.
        overrides: options as on the command line, which win over everything.
        saved: what edits to be loaded say of their base; its editor options win over ``conf/``.
        folder: of those edits; its key space is used where it has one.

    Raises:
        ConfigError: a name, an option or a checkpoint that cannot be used.
    """
    from rv_edit.editors.answering import Asking
    from rv_edit.editors.base import EditorContext

    chosen = _choice(name)
    parts = compose_parts([*chosen, *overrides], ("model", "editor", "scoring", "seed"))
    if saved is not None:
        plain = compose_parts(chosen, ("model", "editor"))
        default = plain["editor"]
        named_otherwise = plain["model"]["vlm"]["name"] == parts["model"]["vlm"]["name"] and name == saved.option
        if named_otherwise and not _shipped(saved.name):
            parts["model"]["vlm"]["name"] = saved.name
        parts["editor"] = _overlay(default, parts["editor"], saved.editor)
        if default["text_encoder"] == parts["editor"]["text_encoder"] and not _shipped(saved.text_encoder):
            parts["editor"]["text_encoder"] = saved.text_encoder
    if revision is not None:
        parts["model"]["vlm"]["revision"] = revision
    if folder is not None and (folder / "key_space.json").is_file():
        parts["editor"]["key_space"] = str(folder / "key_space.json")
    if not isinstance(parts["editor"]["key_space"], str) and not sample:
        _check_there(name)
        raise ConfigError(
            f"{name}: its key space must be measured; give sample=[(picture, question), …], some dozens of your own, "
            "or overrides=['model.key_space=<path of a key_space.json>']"
        )
    vlm = _built(parts["model"]["vlm"], device=device)
    context = EditorContext(vlm, Asking(**parts["scoring"]), sample, int(parts["seed"]))
    settings = {key: value for key, value in parts["editor"].items() if key != "name"}
    editor = _built(settings, context)
    if not hasattr(editor, "codebook"):
        raise ConfigError(f"editor {parts['editor']['name']}: keeps no codebook; leave editor= out of the overrides")
    base = Base(
        option=_option(name),
        name=str(parts["model"]["vlm"]["name"]),
        revision=parts["model"]["vlm"].get("revision") or getattr(vlm.model.config, "_commit_hash", None),
        text_encoder=str(parts["editor"]["text_encoder"]),
        editor=_plain(parts["editor"]),
    )
    return editor, base


def _built(options: Mapping[str, Any], *given: Any, **more: Any) -> Any:
    """What ``_target_`` of options makes; its own errors, not Hydra's around them."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(dict(options), *given, _convert_="all", **more)
    except InstantiationException as error:
        if isinstance(error.__cause__, (ConfigError, RecordError)):
            raise error.__cause__ from error
        raise


def _choice(name: str) -> list[str]:
    """The overrides that choose a model."""
    if name in option_names("model"):
        return [f"model={name}"]
    if not name or any(sign in name for sign in "$\n\r"):
        raise ConfigError(f"model {name!r}: give an option of conf/model, a folder or a hub id")
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    return [f"model={ANY_MODEL}", f"model.name='{quoted}'"]


def _check_there(name: str) -> None:
    """Tell a mistyped name from a model that only lacks a key space; hub ids are ``<owner>/<name>`` and not asked for.

    Raises:
        ConfigError: neither an option, a folder of a model nor a hub id.
    """
    if name in option_names("model") or _shipped(name):
        return
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ConfigError(f"{name}: no config.json in this folder; give the folder of a model or of saved edits")
    elif name.count("/") != 1 or name.startswith((".", "~", "/")):
        near = get_close_matches(name, option_names("model"), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"{name}: no such folder and no option of conf/model{hint}; a hub id is <owner>/<name>")


def _option(name: str) -> str:
    return name if name in option_names("model") else ANY_MODEL


def _shipped(name: str) -> bool:
    """Whether a name means a file of an installed package, which only options may ask for: resolving it imports it."""
    return name.startswith("package://")


def _overlay(default: Mapping[str, Any], asked: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Options that edits were made with, over those of ``conf/``, under those asked for now; no others than there are.

    >>> _overlay({"k": 5, "p": 25}, {"k": 5, "p": 50}, {"k": 3, "p": 10, "_target_": "os.system"})
    {'k': 3, 'p': 50}
    """
    merged: dict[str, Any] = {}
    for key, value in asked.items():
        if key in NOT_SAVED or key not in saved or key not in default:
            merged[key] = value
        elif isinstance(value, Mapping):
            inner = saved[key] if isinstance(saved[key], Mapping) else {}
            merged[key] = _overlay(default[key], value, inner)
        else:
            merged[key] = value if value != default[key] else saved[key]
    return merged


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _plain(value) if isinstance(value, Mapping) else value
        for key, value in options.items()
        if key not in NOT_SAVED
    }
