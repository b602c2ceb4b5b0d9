"""Who may use the service: a key a person, whose name their edits then carry."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rv_edit.app.settings import ServeSettings
from rv_edit.errors import ConfigError


@dataclass(frozen=True)
class Keys:
    """Names by the hash of their key; empty: none is asked for."""

    by_hash: Mapping[bytes, str]

    def __bool__(self) -> bool:
        """Whether a key is needed."""
        return bool(self.by_hash)

    def owner(self, key: str) -> str | None:
        """Whose key it is; ``None``: nobody's. Takes as long for any key."""
        digest = _hash(key)
        found = [name for known, name in self.by_hash.items() if hmac.compare_digest(known, digest)]
        return found[0] if found else None


def load_keys(settings: ServeSettings) -> tuple[Keys, Path | None]:
    """The keys to ask for, and their file; one key is made where some are needed and none are there.

    Raises:
        ConfigError: the file cannot be read or written, or a line of it is no ``<name> <key>``.
    """
    if not settings.needs_key:
        return Keys({}), None
    path = settings.keys or settings.data / "api_keys"
    try:
        if not path.exists():
            if settings.keys is not None:
                raise ConfigError(f"keys={path}: no such file; write a line `<name> <key>` a person")
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"owner {secrets.token_urlsafe(32)}\n")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"keys {path}: cannot be read or written ({error})") from error
    found: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or len(words[1]) < 16:
            raise ConfigError(f"keys {path}, line {number}: give `<name> <key>`, the key of at least 16 characters")
        found[_hash(words[1])] = words[0]
    if not found:
        raise ConfigError(f"keys {path}: no key in it; write a line `<name> <key>` a person")
    return Keys(found), path


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
