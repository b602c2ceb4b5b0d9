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
        return answers(self.address)

    def kill(self) -> None:
        """As a power cut would end it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> int:
        """As a person would end it."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)


def answers(address: str) -> bool:
    """Whether a service is up."""
    try:
        return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


class Forked:
    """A service that starts at once, again and again, since its model is loaded already (:mod:`tests.app.forking`)."""

    def __init__(self, data: Path, *options: str) -> None:
        self.log = data.with_suffix(".log")
        self.address = ""
        self.service = 0
        settings = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            self.parent = subprocess.Popen(
                [sys.executable, "-m", "tests.app.forking", str(data), *options],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1,
                env={**os.environ, **settings}, cwd=ROOT,
            )  # fmt: skip
        self._expect("loaded")

    def start(self, wait: float = 120.0) -> str:
        """Fork a service; gives its address."""
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        assert self.parent.stdin is not None
        self.parent.stdin.write(f"{port}\n")
        self.service = int(self._expect(""))
        end = time.monotonic() + wait
        while not answers(self.address):
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.02)
        return self.address

    def kill(self) -> None:
        """As a power cut would end the service."""
        os.kill(self.service, signal.SIGKILL)
        self._expect("gone")

    def close(self) -> None:
        """End the parent; a service that still runs is ended first."""
        assert self.parent.stdin is not None
        self.parent.stdin.close()
        self.parent.wait(60)

    def _expect(self, said: str) -> str:
        assert self.parent.stdout is not None
        line = self.parent.stdout.readline().strip()
        assert line and (not said or line == said), self.log.read_text()[-3000:]
        return line
