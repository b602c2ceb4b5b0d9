"""The key-space artefact: which layer, which pooling, which λ, and the norms that make λ comparable."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from rv_edit.errors import ConfigError

SCHEMA = 1
POOLINGS = ("mean", "last")
BLOCKS = ("vision", "language")


@dataclass(frozen=True)
class KeySpace:
    """How a picture and a text become a key: φ = [h_ℓ / μ_h ; λ · s / μ_s] (paper 3.3).

    Attributes:
        layer: block ℓ of the part named by ``block``, counted from 0.
        lam: λ, the weight of the text half.
        vision_norm: μ_h, mean norm of the pooled h_ℓ over the calibration sample.
        text_norm: μ_s, mean norm of the sentence embeddings over the same sample.
        pooling: ``mean | last`` over the tokens of the block.
        block: ``vision``, as in the paper; or ``language``, whose layers read picture and text together (the single
            layers that the paper's Fig. 5a compares with have λ = 0).
        model: name of the VLM it was calibrated on; ``model_fingerprint`` its hash, empty where unknown.
        encoder: name of the sentence encoder; ``encoder_fingerprint`` its hash, empty where unknown.
        calibration: pairs in the sample, seed, data set, …: whatever tells where the norms come from.
        curves: what a choice of ℓ and λ was based on, e.g. modularity per layer.
    """

    layer: int
    lam: float
    vision_norm: float
    text_norm: float
    pooling: str = "mean"
    block: str = "vision"
    model: str = ""
    model_fingerprint: str = ""
    encoder: str = ""
    encoder_fingerprint: str = ""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.layer, bool) or not isinstance(self.layer, int) or self.layer < 0:
            raise ConfigError(f"key space: layer={self.layer!r}; give the number of a vision block, 0 or higher")
        if self.block not in BLOCKS:
            raise ConfigError(f"key space: block={self.block!r}; give one of {', '.join(BLOCKS)}")
        if self.pooling not in POOLINGS:
            raise ConfigError(f"key space: pooling={self.pooling!r}; give one of {', '.join(POOLINGS)}")
        for name, least in (("lam", 0.0), ("vision_norm", math.ulp(0.0)), ("text_norm", math.ulp(0.0))):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not least <= value <= sys.float_info.max:  # also refuses NaN
                bound = "0 or more" if least == 0.0 else "more than 0"
                raise ConfigError(f"key space: {name}={value!r}; give a finite number, {bound}")

    @classmethod
    def load(cls, path: str | Path) -> KeySpace:
        """Read what :meth:`save` wrote.

        Raises:
            ConfigError: unreadable, not JSON, of another schema, or a field is missing, unknown or out of range.
        """
        try:
            stored = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"key space {path}: cannot be read ({error.strerror or error})") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"key space {path}: not JSON ({error})") from error
        if not isinstance(stored, dict) or stored.get("schema") != SCHEMA:
            found = stored.get("schema") if isinstance(stored, dict) else type(stored).__name__
            raise ConfigError(f"key space {path}: schema {found!r}, expected {SCHEMA}; calibrate it anew")
        stored.pop("schema")
        unknown = sorted(set(stored) - {item.name for item in fields(cls)})
        if unknown:
            raise ConfigError(f"key space {path}: unknown field {unknown[0]!r}; calibrate it anew")
        try:
            return cls(**stored)
        except TypeError as error:
            raise ConfigError(f"key space {path}: {str(error).split(') ', 1)[-1]}; calibrate it anew") from error
        except ConfigError as error:
            raise ConfigError(f"key space {path}: {str(error).removeprefix('key space: ')}") from error

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all; returns ``path``."""
        target = Path(path)
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        temporary = ""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide the artefact from everyone else
            os.replace(temporary, target)
        except OSError as error:
            Path(temporary).unlink(missing_ok=True) if temporary else None
            raise ConfigError(f"key space {path}: cannot be written ({error.strerror or error})") from error
        return target
