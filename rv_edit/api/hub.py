"""Edits to the hub and from it: the files of :mod:`rv_edit.api.folder`, no others."""

from __future__ import annotations

from pathlib import Path

from data_modules.hub_errors import first_line, hub_reason
from rv_edit.api.folder import CONFIG, FILES
from rv_edit.errors import ConfigError


def push_folder(folder: Path, repo_id: str, *, private: bool, token: str | None, message: str) -> str:
    """Upload the files of ``folder``, in a new repository where there is none; returns the commit's address.

    Raises:
        ConfigError: the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, repo_type="model", private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo_id, folder_path=str(folder), allow_patterns=list(FILES), commit_message=message
        )
    except Exception as error:  # the client raises its own, those of its transport, and ValueError for a bad id
        raise ConfigError(f"push_to_hub {repo_id}: {hub_reason(error, repo_id) or first_line(error)}") from error
    return str(getattr(done, "commit_url", done))


def fetch_folder(repo_id: str, revision: str | None = None) -> Path | None:
    """Where the edits of a hub repository lie on this machine, fetched where they are not yet.

    Returns:
        ``None`` where ``repo_id`` holds no edits, or nothing can be said about it: then it may be a model.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    try:
        hf_hub_download(repo_id, CONFIG, revision=revision)
    except Exception:  # noqa: BLE001  not found, not cached and offline, no such id: loading it as a model will say
        return None
    try:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:
        reason = hub_reason(error, repo_id) or first_line(error)
        raise ConfigError(f"{repo_id}: its edits cannot be fetched ({reason})") from error
