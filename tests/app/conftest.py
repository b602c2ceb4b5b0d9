"""A service on a tiny model: in this process, or behind a port."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from omegaconf import OmegaConf
from starlette.testclient import TestClient

from rv_edit import EditedVLM
from rv_edit.app.keys import load_keys
from rv_edit.app.server import create_app
from rv_edit.app.service import Service
from rv_edit.app.settings import ServeSettings, read_settings
from rv_edit.composing import conf_dir
from tests.api.conftest import COLOURS, loaded, say, tiny
from tests.editors.conftest import picture

__all__ = ["loaded", "say", "tiny"]


def settings(data: Path, **options: Any) -> ServeSettings:
    """The shipped options, but for some."""
    shipped: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / "serve" / "default.yaml"))
    upstream = {**shipped["upstream"], **options.pop("upstream", {})}
    # TestClient calls itself so; a busy machine is slow
    return read_settings({**shipped, "data": str(data), "hosts": ["testserver"], **options, "upstream": upstream})


def data_url(index: int) -> str:
    """The picture of edit ``index`` as clients send it."""
    return "data:image/png;base64," + base64.b64encode(picture(index).data or b"").decode()


def edit_body(index: int, answer: str | None = None, **more: Any) -> dict[str, Any]:
    """Edit ``index``, with crops, as clients send it."""
    said = answer or COLOURS[index % 4]
    return {
        "image": data_url(index),
        "question": f"What colour is lamp {index}?",
        "answer": said,
        "reasoning": [f"Lamp {index} is a lamp.", f"Lamp {index} is {said}."],
        "evidence": {"0": [[0, 0, 18, 18]], "1": [[18, 0, 36, 36]]},
        **more,
    }


def chat_body(index: int, text: str | None = None, **more: Any) -> dict[str, Any]:
    """A question about the picture of edit ``index``."""
    parts = [
        {"type": "image_url", "image_url": {"url": data_url(index)}},
        {"type": "text", "text": text or f"What colour is lamp {index}?"},
    ]
    return {"model": "tiny", "messages": [{"role": "user", "content": parts}], "max_tokens": 4, **more}


Serve = Callable[..., Service]
Client = Callable[..., TestClient]


@pytest.fixture
def serve(loaded: EditedVLM, tmp_path: Path) -> Iterator[Serve]:
    """``serve(name="tiny", …)``: a service on a folder; the same folder again is a restart once it is closed."""
    open_ones: list[Service] = []

    def make(folder: str = "data", **options: Any) -> Service:
        chosen = settings(tmp_path / folder, name="tiny", **options)
        service = Service(EditedVLM(loaded.state, loaded.base), chosen, load_keys(chosen)[0])
        open_ones.append(service)
        close = service.close

        def once() -> None:
            if service in open_ones:
                open_ones.remove(service)
                close()

        service.close = once  # type: ignore[method-assign]
        return service

    yield make
    for service in list(open_ones):
        service.close()


@pytest.fixture
def client(serve: Serve) -> Iterator[Client]:
    """A client of a service in this process; faults of the service are responses, as a network would show them."""
    clients: list[TestClient] = []

    def make(service: Service | None = None, upstream: Any = None, **options: Any) -> TestClient:
        app = create_app(service or serve(**options), upstream)
        opened = TestClient(app, raise_server_exceptions=False)
        opened.__enter__()
        clients.append(opened)
        return opened

    yield make
    for opened in clients:
        opened.__exit__(None, None, None)


@pytest.fixture
def listen(serve: Serve) -> Iterator[Callable[..., str]]:
    """A service behind a port of this machine; gives its address."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(service: Service | None = None, app: Any = None, **options: Any) -> str:
        config = uvicorn.Config(app or create_app(service or serve(**options)), port=0, log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        end = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < end and thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(60)
