"""The options of ``conf/`` for whoever is not Hydra's command line: where they are, and a composition as plain data.

Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from rv_edit.errors import ConfigError


def conf_dir() -> Path:
    """The folder of options: beside the package, in a checkout and in an installed wheel alike."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def option_names(group: str) -> tuple[str, ...]:
    """What a group offers: the names of its files.

    >>> "reasonedit" in option_names("editor")
    True
    """
    return tuple(sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")))


def paper_name(group: str, option: str) -> str | None:
    """What the paper's tables call a model or a data set of ours; ``None``: they do not have it.

    >>> paper_name("dataset", "fvqa")
    'FVQA'
    """
    from omegaconf import OmegaConf

    name = OmegaConf.select(OmegaConf.load(conf_dir() / group / f"{option}.yaml"), "paper")
    return None if name is None else str(name)


def compose_parts(overrides: Sequence[str], parts: Sequence[str]) -> dict[str, Any]:
    """Some parts of the options that a command line with ``overrides`` would use, resolved, as plain data.

    Args:
        overrides: as on the command line, ``group=option`` or ``path.to.option=value``.
        parts: top-level names, e.g. ``model``.

    Raises:
        ConfigError: an override that does not compose, or an option left without a value.
    """
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with _initialized():
            cfg = compose("config", overrides=list(overrides))
        found = {}
        for part in parts:
            value = cfg[part]
            found[part] = OmegaConf.to_container(value, resolve=True, throw_on_missing=True) if _tree(value) else value
        return found
    except (HydraException, OmegaConfBaseException) as error:
        text = " ".join(str(error).split("Config search path:")[0].split())
        raise ConfigError(f"options {' '.join(overrides)}: {text}") from error


def _initialized() -> AbstractContextManager[Any]:
    """Hydra on our options; within a job of its own command line it is so already."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    running = GlobalHydra.instance().is_initialized()
    return nullcontext() if running else initialize_config_dir(str(conf_dir()), version_base="1.3")


def _tree(value: Any) -> bool:
    from omegaconf import OmegaConf

    return bool(OmegaConf.is_config(value))
