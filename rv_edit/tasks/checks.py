"""Checks of options before any work, each one line."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from data_modules.probing import Probing

PROTOCOLS = ("accumulate", "single")
NORMALIZE = ("sum", "mean", "first_token")


@dataclass(frozen=True)
class EditOptions:
    """The options of ``task=edit`` that need a check, checked.

    Attributes:
        edits: errors to correct; fewer where fewer are found.
        loc: locality questions; ``similar_share`` of them resemble an edit.
        codebook: a saved codebook to go on with.
        resume: a checkpoint to go on from.
        output: an existing, writable folder.
        sample: pictures for tiles and calibration.
        calibration: unrelated questions for editors that calibrate.
        mine_limit: errors, and right answers, after which mining stops.
        rounding: smallest lead of an answer that counts while mining.
        statement: the question that an error chain is found with, ``{statement}`` in it.
        denied: probability of "no" above which a statement counts as denied.
        probing: rounds of questions between edits; ``None``: everything is asked at the end.
    """

    edits: int
    loc: int
    similar_share: float
    protocol: str
    codebook: Path | None
    resume: Path | None
    output: Path
    seed: int
    sample: int
    calibration: int
    mine_limit: int | None
    rounding: float
    statement: str
    denied: float
    probing: Probing | None = None


def check_options(cfg: DictConfig) -> EditOptions:
    """Check everything that can be checked without loading anything.

    Raises:
        ConfigError: the first option that cannot be used, or that has no value.
    """
    check_values(cfg)
    check_devices(cfg)
    edits = whole("dataset.edits", cfg.dataset.edits)
    random = whole("dataset.loc_random", cfg.dataset.loc_random)
    similar = whole("dataset.loc_similar", cfg.dataset.loc_similar)
    _one_of("protocol", cfg.protocol, PROTOCOLS)
    _one_of("scoring.normalize", cfg.scoring.normalize, NORMALIZE)
    for name in ("batch_size", "image_batch_size"):
        whole(f"scoring.{name}", cfg.scoring[name], least=1)
    limit = cfg.dataset.mine_limit
    _key_space(cfg)
    output = writable(Path(cfg.output))
    codebook = None if cfg.codebook is None else _codebook(str(cfg.codebook))
    if edits == 0 and codebook is None:
        raise ConfigError("dataset.edits=0 leaves nothing to do; give a number, or codebook=<folder> to evaluate one")
    if cfg.resume is not None and cfg.protocol == "single":
        raise ConfigError("resume goes on with protocol=accumulate alone: single edits leave nothing to go on with")
    return EditOptions(
        edits=edits,
        loc=random + similar,
        similar_share=similar / (random + similar) if random + similar else 0.0,
        protocol=str(cfg.protocol),
        codebook=codebook,
        resume=None if cfg.resume is None else _checkpoint(str(cfg.resume), output),
        output=output,
        seed=whole("seed", cfg.seed),
        sample=whole("dataset.sample", cfg.dataset.sample, least=1),
        calibration=whole("dataset.calibration", cfg.dataset.calibration),
        mine_limit=limit if limit is None else whole("dataset.mine_limit", limit, least=1),
        rounding=_amount("model.rounding", cfg.model.rounding),
        statement=_statement(str(cfg.error_chain.statement)),
        denied=share("error_chain.threshold", cfg.error_chain.threshold),
        probing=_probing(cfg),
    )


def _probing(cfg: DictConfig) -> Probing | None:
    """``sequential.every`` and ``sequential.edits``."""
    size = whole("sequential.edits", cfg.sequential.edits, least=1)
    if cfg.sequential.every is None:
        return None
    every = whole("sequential.every", cfg.sequential.every, least=1)
    if cfg.protocol == "single":
        raise ConfigError("sequential.every asks about edits that add up: give protocol=accumulate with it")
    from data_modules.probing import Probing

    return Probing(every, size, whole("seed", cfg.seed))


def _key_space(cfg: DictConfig) -> None:
    """``model.key_space=measured``, where the editor reads it: something must have been measured."""
    from rv_edit.embedding import MEASURED, check_measured

    if OmegaConf.select(cfg, "editor.key_space") == MEASURED:
        check_measured(cfg.cache)


def check_devices(cfg: DictConfig) -> None:
    """One model over several devices and several processes with a model each exclude each other.

    Raises:
        ConfigError: both are asked for.
    """
    spread = cfg.model.vlm.get("device_map")
    if spread is not None and str(cfg.trainer.devices) != "1":
        raise ConfigError(
            f"model.vlm.device_map={spread} spreads one model over all GPUs: give trainer.devices=1 with it, "
            "or leave it out for a whole model on each device"
        )


def check_values(cfg: DictConfig) -> None:
    """Refuse options that a file of ``conf/`` leaves to the user, and the user left out.

    Raises:
        ConfigError: the first without a value.
    """
    for name in _without_value(OmegaConf.to_container(cfg, resolve=False)):
        raise ConfigError(f"{name} has no value; give {name}=<value>")


def _without_value(options: Any, place: str = "") -> Iterator[str]:
    """Names of the options that a file of ``conf/`` leaves to the user, as written: ``???``."""
    if options == "???":
        yield place
    elif isinstance(options, dict):
        for name, value in options.items():
            yield from _without_value(value, f"{place}.{name}" if place else str(name))


def whole(name: str, value: Any, least: int = 0) -> int:
    """``value``, if it is a whole number of at least ``least``.

    Raises:
        ConfigError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value}: give a whole number of at least {least}")
    return value


def _amount(name: str, value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ConfigError(f"{name}={value}: give a number of at least 0")
    return float(value)


def share(name: str, value: Any) -> float:
    """``value``, if it is a number from 0 to 1.

    Raises:
        ConfigError: it is not.
    """
    if (number := _amount(name, value)) > 1:
        raise ConfigError(f"{name}={value}: give a number from 0 to 1")
    return number


def _statement(text: str) -> str:
    if "{statement}" not in text:
        raise ConfigError(f"error_chain.statement={text!r}: it must contain {{statement}}")
    return text


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value}: give one of {', '.join(allowed)}")


def writable(folder: Path, option: str = "hydra.run.dir=") -> Path:
    """``folder``, which ``option`` names, created, once a file could be written in it.

    Writing is the only test that counts: permissions say nothing of full or read-only disks.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-") as probe:
            probe.write(b"x" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another folder with {option}"
        ) from error
    return folder


def _codebook(path: str) -> Path:
    folder = Path(path).expanduser()
    folder = folder.parent if folder.suffix in (".safetensors", ".jsonl") else folder
    if not folder.is_dir():
        raise ConfigError(f"codebook={path}: no such folder")
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(f"codebook={path}: no codebook in it; give the codebook folder of an earlier run")
    return folder


def _checkpoint(name: str, output: Path) -> Path:
    """The checkpoint to go on from, found whole.

    Raises:
        ConfigError: there is none, or it is damaged; another good one in its folder is offered.
    """
    path = output / "checkpoints" / "last.ckpt" if name == "last" else Path(name).expanduser()
    if not path.is_file():
        hint = "give the interrupted run's hydra.run.dir" if name == "last" else "give a .ckpt file, or resume=last"
        raise ConfigError(f"resume={name}: no checkpoint {path}; {hint}")
    from rv_edit.editors.sealing import newest_sealed, read_sealed

    try:
        read_sealed(path)
    except ConfigError as error:
        other = newest_sealed(path.parent, but=path)
        if other is None:
            hint = "there is no good one beside it; start the run anew, without resume"
        else:
            hint = f"the last good one has {other[1]} edits: resume={other[0]}"
        raise ConfigError(f"resume={name}: {error}; {hint}") from error
    return path


def made_anew(codebook: Path) -> str:
    """How a run's codebook that is damaged can be had again; empty where it cannot."""
    from rv_edit.editors.sealing import newest_sealed

    run = codebook.parent
    good = newest_sealed(run / "checkpoints")
    if good is None:
        return ""
    name = "last" if good[0].name == "last.ckpt" else str(good[0])
    return (
        f"; or make it anew from that run's last good checkpoint, of {good[1]} edits: hydra.run.dir={run} resume={name}"
    )
