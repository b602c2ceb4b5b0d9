"""``rv-edit serve`` in a process of its own, which can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.source_tree import ROOT


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A service as people start it."""

    def __init__(self, *options: str, data: Path, wait: float = 300.0) -> None:
        self.address = f"http://127.0.0.1:{(port := free_port())}"
        self.log = data.with_suffix(".log")
        settings = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rv_edit", "serve", f"port={port}", f"data={data}", *options],
                stdout=log, stderr=log, env={**os.environ, **settings}, cwd=ROOT,
            )  # fmt: skip
        end = time.monotonic() + wait
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, "the service did not start"
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """As a power cut would end it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> int:
        """As a person would end it."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)
