"""The options of ``task=build_suites`` that need a check, checked before any work."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from rv_edit.benchmark.building.checking import VLMChecker, VLMHolder
from rv_edit.benchmark.building.pictures import Quality
from rv_edit.benchmark.building.requests import ImageProvider, TextProvider
from rv_edit.benchmark.building.settings import BuildSettings, read_settings, whole
from rv_edit.benchmark.building.store import FORMATS
from rv_edit.errors import ConfigError
from rv_edit.tasks.checks import share, writable

OPTIONS = "options.json"
_SHARD = re.compile(r"(\d+)/(\d+)")
_FREE = ("suites", "attempts", "regenerations")
"""Settings that may differ between runs into one folder: they make more of the same."""


@dataclass(frozen=True)
class BuildOptions:
    """How suites are built; see ``conf/task/build_suites.yaml``.

    Attributes:
        settings: what is built.
        folder: where.
        dry_run: only say what it would cost.
        shard: part and number of parts.
        release: drop each model when its turn is over.
        reserve: bytes that must stay free.
        picture_format: of the files.
        captions: files of COCO's.
        quality: what a picture must pass.
        question, caption_prompt, caption_tokens: of the checker; an empty text: it is not asked.
    """

    settings: BuildSettings
    folder: Path
    dry_run: bool
    shard: tuple[int, int] | None
    release: bool
    reserve: int
    picture_format: str
    captions: tuple[str, ...]
    quality: Quality
    question: str
    caption_prompt: str
    caption_tokens: int

    @classmethod
    def of(cls, cfg: DictConfig) -> BuildOptions:
        """Check the options.

        Raises:
            ConfigError: the first that cannot be used.
        """
        task: Any = OmegaConf.to_container(cfg.task, resolve=True)
        settings = read_settings(task, int(cfg.seed))
        checker = task["checker"]
        for name in ("dry_run", "release"):
            if not isinstance(task[name], bool):
                raise ConfigError(f"task.{name}={task[name]}: give true or false")
        captions = task["captions"] if isinstance(task["captions"], list) else [task["captions"]]
        if task["picture_format"] not in FORMATS:
            raise ConfigError(f"task.picture_format={task['picture_format']}: give one of {', '.join(FORMATS)}")
        folder = Path(str(task["folder"])).expanduser()
        quality = Quality(
            settings.regenerations,
            share("task.checker.threshold", checker["threshold"]),
            whole("task.blank_spread", task["blank_spread"], 0),
            whole("task.checker.batch_size", checker["batch_size"], 1),
        )
        return cls(
            settings,
            folder if task["dry_run"] else writable(folder, "task.folder="),
            task["dry_run"],
            _shard(task["shard"]),
            task["release"],
            whole("task.reserve_mb", task["reserve_mb"], 0) * 2**20,
            task["picture_format"],
            tuple(str(Path(str(path)).expanduser()) for path in captions),
            quality,
            str(checker["question"] or ""),
            str(checker["caption_prompt"] or ""),
            whole("task.checker.caption_tokens", checker["caption_tokens"], 1),
        )

    @property
    def part(self) -> str:
        """The name of this process' journal."""
        return "all" if self.shard is None else f"part-{self.shard[0]}-of-{self.shard[1]}"


def build_providers(cfg: DictConfig, options: BuildOptions) -> tuple[TextProvider, dict[str, ImageProvider]]:
    """Who writes and who draws; nothing is loaded yet.

    Raises:
        ConfigError: no image model, or a setting names one that is not there.
    """
    texts: TextProvider = instantiate(cfg.task.text, _convert_="all")
    images: dict[str, ImageProvider] = {
        str(name): instantiate(node, _convert_="all") for name, node in cfg.task.images.items() if node is not None
    }
    settings = options.settings
    if not images and set(settings.suites) - {"t_gen"}:
        raise ConfigError("task.images is empty; give task/images=sd3_flux, or task.suites=[t_gen]")
    for suite, model in (("r_gen", settings.r_gen.model), ("coe_gen", settings.coe_gen.model)):
        if model is not None and model not in images:
            raise ConfigError(f"task.{suite}.model={model}: the image models are {', '.join(images)}")
    return texts, images


def build_checker(cfg: DictConfig, options: BuildOptions, edited: VLMHolder, device: str) -> VLMChecker | None:
    """Who looks at pictures; ``None`` where there is nothing to look at."""
    if not options.question and not options.caption_prompt:
        return None
    node = cfg.task.checker.vlm
    holder = edited if node is None else VLMHolder(partial(instantiate, node, device=device, _convert_="all"))
    source: Any = OmegaConf.to_container(cfg.model.vlm if node is None else node, resolve=True)
    return VLMChecker(
        holder,
        {"model": source["name"], "revision": source.get("revision"), "dtype": source.get("dtype")},
        question=options.question,
        caption_prompt=options.caption_prompt,
        caption_tokens=options.caption_tokens,
        batch_size=options.quality.batch_size,
    )


def options_of_folder(
    data: str, options: BuildOptions, texts: TextProvider, images: Mapping[str, ImageProvider], checker: Any
) -> dict[str, Any]:
    """All that items of one folder must have in common."""
    settings = {name: value for name, value in asdict(options.settings).items() if name not in _FREE}
    return {
        "dataset": data,
        **settings,
        "text": dict(texts.about),
        "images": {name: dict(provider.about) for name, provider in images.items()},
        "checker": None if checker is None else {**checker.about, "threshold": options.quality.threshold},
        "captions": None if checker is None else dict(checker.captioned_by),
        "picture_format": options.picture_format,
    }


def check_folder(folder: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether the folder was begun with these options; ``False``: it was not begun yet.

    Raises:
        ConfigError: it was begun with others, or its options cannot be read.
    """
    path = folder / OPTIONS
    if not path.exists():
        return False
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON; choose another task.folder") from error
    place = _difference(found, json.loads(json.dumps(wanted)))
    if place:
        raise ConfigError(
            f"task.folder={folder}: was built with another {place}; give the same options, or another folder"
        )
    return True


def _difference(one: Any, other: Any, place: str = "") -> str:
    """The name of the first option that differs; empty: none does."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return "" if one == other else place or "set of options"
    for name in [*one, *(name for name in other if name not in one)]:
        inner = f"{place}.{name}" if place else str(name)
        if name not in one or name not in other:
            return inner
        if found := _difference(one[name], other[name], inner):
            return found
    return ""


def _shard(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    match = _SHARD.fullmatch(str(value))
    if match is None or not int(match.group(1)) < int(match.group(2)):
        raise ConfigError(f"task.shard={value}: give part/parts with parts counted from 0, such as 0/4")
    return int(match.group(1)), int(match.group(2))
