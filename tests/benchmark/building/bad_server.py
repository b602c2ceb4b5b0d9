"""A chat-completions service on 127.0.0.1 that answers sensibly, and misbehaves where a test wants it to."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Call:
    """A request: its place (from 0), its body and headers, and whether it got a whole reply with status 200."""

    place: int
    body: dict[str, Any]
    headers: dict[str, str]
    answered: bool = False

    @property
    def prompt(self) -> str:
        return str(self.body["messages"][0]["content"])


@dataclass
class Reply:
    """What goes back: ``missing`` bytes are promised and not sent, ``hang_up``: nothing is sent at all."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    missing: int = 0
    hang_up: bool = False


def completion(text: Any, finish: str = "stop", **message: Any) -> Reply:
    """A whole, well-formed reply."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
    document = {"id": "x", "object": "chat.completion", "model": "served-1", "choices": [choice], "usage": usage}
    return Reply(body=json.dumps(document).encode())


def failure(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI words it."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps({"error": {"message": message, "code": code}}).encode(), names)


def sensible(call: Call) -> Reply:
    """What a good language model would answer to the prompts of ``conf/task/build_suites.yaml``."""
    mark = hashlib.sha256(f"{call.prompt}{call.body.get('seed')}".encode()).hexdigest()[:6]
    if "rephrase" in call.prompt:
        return completion(json.dumps([f"Wording {place} of {mark}?" for place in range(10)]))
    if "multiple-choice" in call.prompt:
        wrong = [f"wrong {place} {mark}" for place in range(3)]
        return completion(json.dumps({"question": f"What is {mark}?", "correct": f"right {mark}", "incorrect": wrong}))
    return completion("```json\n" + json.dumps([f"Scene {place} at {mark}." for place in range(3)]) + "\n```")


class BadServer:
    """Runs while it is entered; ``behave`` says what each call gets, :func:`sensible` by default."""

    def __init__(self, behave: Callable[[Call], Reply] = sensible) -> None:
        self.behave = behave
        self.calls: list[Call] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._serve(self)

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> BadServer:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length", 0))
        body = json.loads(handler.rfile.read(length))
        with self._lock:
            call = Call(len(self.calls), body, dict(handler.headers.items()))
            self.calls.append(call)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            assert handler.path == "/v1/chat/completions", handler.path
            reply = self.behave(call)
            time.sleep(reply.delay)
            if reply.hang_up:
                handler.connection.shutdown(socket.SHUT_RDWR)
                handler.close_connection = True
                return
            handler.send_response(reply.status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(reply.body) + reply.missing))
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(reply.body)
            handler.wfile.flush()
            if reply.missing:
                handler.connection.shutdown(socket.SHUT_RDWR)
                handler.close_connection = True
            call.answered = reply.status == 200 and not reply.missing
        except OSError:
            handler.close_connection = True  # the client is gone
        finally:
            with self._lock:
                self.at_once -= 1
