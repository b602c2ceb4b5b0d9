"""An image model and a service for ``task=build_suites`` in tests of the command line, without any weights."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_modules.qa_record import QARecord
from rv_edit.benchmark.building.requests import ImageRequest, UnusableError


class Painter:
    """Noise by the seed; every picture made is noted in ``log``, and after ``kill_after`` of them the process dies."""

    batch_size = 2
    seconds_per_image: float | None = None

    def __init__(self, log: str, kill_after: int | None = None, black: bool = False) -> None:
        self.about: dict[str, Any] = {"kind": "test", "model": "noise"}
        self._log, self._kill_after, self._black = Path(log), kill_after, black

    def refuses(self, record: QARecord) -> str | None:
        return None

    def load(self) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""

    def paint(self, requests: Sequence[ImageRequest]) -> list[Image.Image | UnusableError]:
        if self._kill_after is not None and made(self._log) >= self._kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._log.open("a") as stream:
            stream.writelines(f"{request.item} {request.seed}\n" for request in requests)
        if self._black:
            return [Image.new("RGB", (16, 16)) for _ in requests]
        return [
            Image.fromarray(np.random.default_rng(request.seed).integers(0, 256, (16, 16, 3), dtype=np.uint8))
            for request in requests
        ]


def made(log: Path) -> int:
    """Pictures noted so far."""
    return len(log.read_text().splitlines()) if log.exists() else 0
