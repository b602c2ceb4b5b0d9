"""The options of ``conf/serve``, checked before anything is loaded."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rv_edit.errors import ConfigError

AUTH = ("auto", "key", "none")


@dataclass(frozen=True)
class Limits:
    """What a request may be at most; see ``conf/serve/default.yaml``."""

    body_bytes: int
    image_bytes: int
    image_pixels: int
    image_formats: tuple[str, ...]
    question_chars: int
    answer_chars: int
    fact_chars: int
    facts: int
    crops: int
    choices: int
    messages: int
    max_new_tokens: int


@dataclass(frozen=True)
class Remote:
    """Whether and how pictures are fetched from addresses."""

    allowed: bool
    seconds: float
    redirects: int


@dataclass(frozen=True)
class Upstream:
    """Another server that answers; ``url`` is ``None`` where the model here does."""

    url: str | None
    model: str | None
    key_env: str
    seconds: float


@dataclass(frozen=True)
class ServeSettings:
    """All options of the service, checked."""

    limits: Limits
    remote: Remote
    upstream: Upstream
    model: str | None
    edits: str | None
    device: str | None
    host: str
    port: int
    data: Path
    name: str | None
    auth: str
    keys: Path | None
    hosts: tuple[str, ...]
    batch_size: int
    waiting: int
    waiting_pixels: int
    seconds: float
    keep_alive: int
    examples: str | None
    frames: tuple[str, ...]
    map_points: int
    overrides: tuple[str, ...] = field(default=())

    @property
    def needs_key(self) -> bool:
        """Whether requests must bring a key."""
        return self.auth == "key" or (self.auth == "auto" and not is_loopback(self.host))


def read_settings(options: Mapping[str, Any], overrides: Sequence[str] = ()) -> ServeSettings:
    """Check composed options.

    Raises:
        ConfigError: the first that cannot be used.
    """
    given = dict(options)
    upstream = dict(given.pop("upstream"))
    for name in ("port", "remote_redirects"):
        _number(name, given[name], least=0, whole=True)
    whole = [item.name for item in fields(Limits) if item.name != "image_formats"]
    for name in (*whole, "batch_size", "waiting", "waiting_pixels", "keep_alive", "map_points"):
        _number(name, given[name], least=1, whole=True)
    for name, value in (("seconds", given["seconds"]), ("remote_seconds", given["remote_seconds"])):
        _number(name, value, least=0.001)
    _number("upstream.seconds", upstream["seconds"], least=0.001)
    if given["auth"] not in AUTH:
        raise ConfigError(f"auth={given['auth']}: give one of {', '.join(AUTH)}")
    if given["port"] > 65535:
        raise ConfigError(f"port={given['port']}: give a port up to 65535, or 0 for a free one")
    if not isinstance(given["remote_images"], bool):
        raise ConfigError(f"remote_images={given['remote_images']}: give true or false")
    url = upstream["url"]
    if url is not None and not str(url).startswith(("http://", "https://")):
        raise ConfigError(f"upstream.url={url}: give the address of an OpenAI-compatible interface, http://…/v1")
    worded = given.pop("frames")
    frames = [worded] if isinstance(worded, str) else list(worded)
    if any("{question}" not in str(frame) for frame in frames):
        raise ConfigError(f"frames={frames}: each needs {{question}} in it")
    limits = {item.name: given.pop(item.name) for item in fields(Limits)}
    limits["image_formats"] = tuple(str(name).upper() for name in limits["image_formats"])
    remote = Remote(given.pop("remote_images"), float(given.pop("remote_seconds")), given.pop("remote_redirects"))
    keys = given.pop("keys")
    return ServeSettings(
        limits=Limits(**limits),
        remote=remote,
        upstream=Upstream(None if url is None else str(url).rstrip("/"), upstream["model"], str(upstream["key_env"]),
                          float(upstream["seconds"])),
        data=Path(str(given.pop("data"))).expanduser(),
        keys=None if keys is None else Path(str(keys)).expanduser(),
        frames=tuple(str(frame) for frame in frames),
        hosts=tuple(str(host).lower() for host in given.pop("hosts")),
        overrides=tuple(overrides),
        **given,
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _number(name: str, value: Any, least: float, whole: bool = False) -> None:
    sort = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, sort) or not least <= value or not math.isfinite(value):
        raise ConfigError(f"{name}={value}: give a {'whole number' if whole else 'number'} of at least {least:g}")
