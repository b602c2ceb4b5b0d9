"""What stands before every request: a key where one is needed, the name of the host where none is, a limit of size."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rv_edit.app.errors import error_body
from rv_edit.app.keys import Keys
from rv_edit.app.settings import is_loopback

if TYPE_CHECKING:
    from rv_edit.app.observing import Observer

OPEN = frozenset({"/healthz"})
"""Asked without a key, by whatever watches the service."""
PAGE = "/page/"
"""Under which the page's files are: the same for everybody, and sent without a key, which the page then asks for."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observed:
    """Counts and times requests, by the route's pattern: paths as sent would be counters without end."""

    def __init__(self, app: ASGIApp, observer: Observer) -> None:
        self.app = app
        self.observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; note the status."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, answered = time.perf_counter(), 500, False

        async def noting(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except asyncio.CancelledError:  # the service ends, and has waited long enough
            if not answered:
                await _refuse(noting, 503, "the service is ending; send it again", "ending")
        finally:
            route = getattr(scope.get("route"), "path_format", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.observer.request(route, method, status, time.perf_counter() - started)


class Guarded:
    """Lets requests through that bring a key; where no key is needed, those that name this machine as their host.

    The latter keeps web pages out that a browser on this machine shows: a name of theirs that they let point here is
    still their name.
    """

    def __init__(self, app: ASGIApp, keys: Keys, hosts: Sequence[str]) -> None:
        self.app = app
        self.keys = keys
        self.hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the key's owner in ``scope["state"]``, or answer 401 or 403."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not self.keys:
            if not self._known(headers.get(b"host", "")):
                await _refuse(
                    send, 403, "this name of the service is not known; use its address, or give hosts=[<name>]"
                )
                return
            await self.app(scope, receive, send)
            return
        if scope["path"] == "/" or scope["path"].startswith(PAGE):
            await self.app(scope, receive, send)
            return
        kind, _, key = headers.get(b"authorization", "").partition(" ")
        owner = self.keys.owner(key.strip()) if kind.lower() == "bearer" else None
        if owner is None:
            await _refuse(send, 401, "send a key: Authorization: Bearer <key>", "invalid_api_key")
            return
        scope.setdefault("state", {})["owner"] = owner
        await self.app(scope, receive, send)

    def _known(self, host: str) -> bool:
        name = host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        return is_loopback(name) or name.lower() in self.hosts


class Bounded:
    """Stops reading a body once it is larger than allowed, whatever its header said."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > self.most:
            await _refuse(send, 413, f"the body is larger than {self.most} bytes", "too_long")
            return
        size = 0

        async def counting() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.most:
                raise HTTPException(413, f"the body is larger than {self.most} bytes")
            return message

        await self.app(scope, counting, send)


async def _refuse(send: Send, status: int, message: str, code: str = "") -> None:
    body = json.dumps(error_body(message, status, code)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
