"""What a name given to ``from_pretrained`` means, and whether edits belong to the model they are loaded over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rv_edit.api.folder import FolderConfig, Measured, is_saved, read_about, read_results, read_saved
from rv_edit.api.hub import fetch_folder
from rv_edit.api.inputs import Picture, as_image, as_text
from rv_edit.api.loading import ANY_MODEL, Base, load_editor
from rv_edit.api.state import State
from rv_edit.composing import option_names
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.editors.reasonedit import ReasonEdit

CODEBOOK = "codebook.safetensors"


@dataclass(frozen=True)
class Opened:
    """A model, the edits loaded over it, and what is known about both."""

    state: State
    base: Base
    licence: str = ""
    measured: Measured | None = field(default=None)


def open_pretrained(
    name: str | Path,
    *,
    model: str | Path | None = None,
    edits: str | Path | None = None,
    revision: str | None = None,
    device: str | None = "cpu",
    sample: Sequence[tuple[Picture, str]] = (),
    overrides: Sequence[str] = (),
) -> Opened:
    """Load a model, or edits together with the model they name; see :meth:`EditedVLM.from_pretrained`.

    Raises:
        ConfigError: nothing usable under that name, or edits of another model or revision.
    """
    if edits is None:
        folder = _edits_folder(str(name), revision)
    else:
        folder = _edits_folder(str(edits), None) or Path(edits).expanduser()
        if not (folder / CODEBOOK).is_file():
            raise ConfigError(f"edits={edits}: no {CODEBOOK} there; give saved edits, or a run's codebook folder")
    if folder is not None and edits is None and model is None and not is_saved(folder):
        raise ConfigError(
            f"{name}: a run's codebook does not name its model; from_pretrained(<model>, edits={str(name)!r}) does"
        )
    pairs = [(as_image(picture), as_text(text, "sample")) for picture, text in sample]
    config = read_saved(folder).config if folder is not None and is_saved(folder) else None
    wanted = model if model is not None else name if folder is None or edits is not None else None
    if wanted is None:
        assert config is not None
        if config.base.option == ANY_MODEL and config.base.name.startswith("package://"):
            raise ConfigError(f"{name}: its model is said to lie in a package ({config.base.name}); give it as model=")
        wanted = config.base.name if config.base.option == ANY_MODEL else config.base.option
        revision = revision if edits is not None else config.base.revision
    saved = None if config is None else config.base
    editor, base = load_editor(
        str(wanted),
        revision=revision,
        device=device,
        sample=pairs,
        overrides=overrides,
        saved=saved,
        folder=folder,
    )
    if folder is None:
        return Opened(State(editor), base)
    if config is not None:
        refuse_other_base(folder, config, editor, base)
    editor.load(folder)
    state = State(editor, read_about(folder))
    return Opened(state, base, "" if config is None else config.licence, _measured(folder, config, editor))


def refuse_other_base(folder: Path, config: FolderConfig, editor: ReasonEdit, base: Base) -> None:
    """Check that edits were made to the model they are loaded over.

    Raises:
        ConfigError: another model, revision or preprocessing, and which.
    """
    here = editor.embedding.fingerprint
    for part, what in (("base_model", "weights"), ("preprocessing", "image preprocessing")):
        made, now = config.fingerprint.get(part), here[part]
        if made != now:
            at = f" at revision {config.base.revision}" if config.base.revision else ""
            here_at = f" at revision {base.revision}" if base.revision else ""
            raise ConfigError(
                f"edits {folder}: made on {config.base.name}{at} ({what} {made}), but {base.name}{here_at} has "
                f"{what} {now}; load them over the model and revision they were made on"
            )


def _edits_folder(name: str, revision: str | None) -> Path | None:
    """The folder of edits that ``name`` means; ``None`` where it means a model."""
    path = Path(name).expanduser()
    if path.is_dir():
        return path if is_saved(path) or (path / CODEBOOK).is_file() else None
    if name in option_names("model") or name.startswith((".", "/", "~")) or "://" in name or name.count("/") != 1:
        return None
    return fetch_folder(name, revision)


def _measured(folder: Path, config: FolderConfig | None, editor: ReasonEdit) -> Measured | None:
    """Metrics of these very edits: those saved with them, or those of the run whose codebook folder this is."""
    found = None if config is None else config.measured
    results = folder.parent / "results.json"
    if found is None and config is None and results.is_file():
        found = read_results(results)
    return found if found is not None and found.checksum == editor.checksum() else None
