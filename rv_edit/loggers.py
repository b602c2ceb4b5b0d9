"""Where metrics go besides the output folder. Nothing here ever stops or delays a run for want of an account."""

from __future__ import annotations

import logging
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

log = logging.getLogger(__name__)

MODES = ("auto", "online", "offline", "disabled")


def none() -> None:
    """``logger=none``: the output folder alone."""
    return None


def csv(save_dir: str) -> Logger:
    """``logger=csv``: ``metrics.csv`` in the output folder."""
    from lightning.pytorch.loggers import CSVLogger

    return CSVLogger(save_dir, name="", version="csv")


def wandb(
    save_dir: str,
    project: str,
    mode: str = "auto",
    log_model: bool = False,
    init_timeout: float = 20.0,
    options: Mapping[str, Any] | None = None,
) -> Logger | None:
    """``logger=wandb``: a Weights & Biases run, offline where there is no key or no network.

    Args:
        save_dir: where the run's files lie; made if missing.
        project: name on the server.
        mode: ``auto`` takes ``WANDB_MODE`` where set, else online with a key and offline without one.
        log_model: upload checkpoints; only ever online.
        init_timeout: seconds that the server gets before the run goes offline.
        options: for ``wandb.init``: name, group, tags, ….
    """
    if mode not in MODES:
        raise ConfigError(f"logger.mode={mode}; give one of {', '.join(MODES)}")
    try:
        import wandb as client
        from lightning.pytorch.loggers import WandbLogger
    except ImportError:
        log.info("W&B is not installed: nothing is logged to it (pip install wandb, or logger=csv)")
        return None
    chosen, why = choose_mode(mode)
    if why:
        log.info(why)
    if chosen == "disabled":
        os.environ["WANDB_MODE"] = "disabled"
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"project": project, **(options or {})}
    run = None
    if os.environ.get("LOCAL_RANK", "0") == "0" and chosen == "online":
        try:
            run = client.init(
                mode="online", dir=save_dir, settings=client.Settings(init_timeout=init_timeout), **settings
            )
        except Exception as error:  # noqa: BLE001  whatever the client raises, the run goes on
            log.info("W&B cannot be reached (%s): logging offline, `wandb sync` later", str(error).splitlines()[0])
            chosen = "offline"
    offline = chosen == "offline"
    if run is None:
        # its banner, and what it says of every artifact, would drown the one line above
        settings["settings"] = client.Settings(silent=True)
        os.environ["WANDB_SILENT"] = "true"
    logger = WandbLogger(
        offline=offline, log_model=log_model and chosen == "online", experiment=run, save_dir=save_dir, **settings
    )
    # Lightning hands on an option that nobody gave, and the client warns that it will be removed
    getattr(logger, "_wandb_init", {}).pop("anonymous", None)
    return logger


def choose_mode(mode: str) -> tuple[str, str]:
    """What to do about W&B, and one line for the user where it is not what they may expect.

    >>> choose_mode("disabled")
    ('disabled', '')
    """
    if mode == "auto":
        asked = os.environ.get("WANDB_MODE", "")
        mode = {"dryrun": "offline", "run": "online"}.get(asked, asked or "auto")
    if mode in ("disabled", "offline"):
        return mode, ""
    if not has_key():
        return "offline", "W&B: no API key, logging offline (`wandb login` goes online, logger=none|csv does without)"
    return "online", ""


def has_key() -> bool:
    """Whether the W&B client would find credentials without asking anyone."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    for path in filter(None, (os.environ.get("NETRC"), "~/.netrc", "~/_netrc")):
        try:
            if netrc.netrc(os.path.expanduser(path)).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
