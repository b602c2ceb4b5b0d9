"""What each loader says of a hub that refuses; in a process of its own, as the library reads its address at import.

``python -m tests.data_modules.refusing_hub <name> …`` prints JSON: name -> loader -> its last line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any

REFUSALS: dict[str, tuple[int, dict[str, str]]] = {
    "expired": (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
    "gated": (403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this resource is restricted"}),
    "unknown": (404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}),
}
"""Status and headers by the first part of a name, as the hub sends them."""


class RefusingHub:
    """A hub on 127.0.0.1 that knows every name and gives out none."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind = next((name for name in REFUSALS if f"/{name}/" in self.path), "unknown")
                status, headers = REFUSALS[kind]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_POST = do_GET

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> RefusingHub:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def said(call: Callable[[], Any]) -> str:
    """The line that a loader ends with."""
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError("nothing was refused")


def asked(name: str) -> dict[str, str]:
    """Ask for ``name`` in every way that files are fetched from a hub."""
    from data_modules import rationale_tables
    from data_modules.hub_tables import HubTable
    from rv_edit.benchmark.building.diffusion import DiffusersImages
    from rv_edit.benchmark.building.local_text import TransformersText
    from rv_edit.embedding import TextEncoder
    from rv_edit.vlm import load_vlm

    rationale_tables.HUB = name
    loaders: dict[str, Callable[[], Any]] = {
        "model": lambda: load_vlm(name),
        "text encoder": lambda: TextEncoder(name),
        "image model": lambda: DiffusersImages(name, device="cpu").load(),
        "language model": lambda: TransformersText(name, device="cpu")._load(),
        "table": lambda: HubTable(name, "train", {}),
        "cached table": lambda: HubTable(name, "train", {}, streaming=False),
        "benchmark": lambda: rationale_tables.RationaleTables(None, "aokvqa"),
    }
    return {loader: said(call) for loader, call in loaders.items()}


if __name__ == "__main__":
    print(json.dumps({name: asked(name) for name in sys.argv[1:]}))
