"""Another server answers: what is known here goes before the question, everything else is passed on as it came."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from rv_edit.app.checks import Asked
from rv_edit.app.errors import RequestError
from rv_edit.app.settings import Upstream

OURS = frozenset({"choices"})
"""Parts of a request that are not OpenAI's and go no further."""
MOST = 16_000_000
"""Bytes of an upstream answer."""


def with_facts(body: dict[str, Any], asked: Asked, facts: Sequence[str], separator: str) -> dict[str, Any]:
    """A request with ``facts`` before its question, in the user's turn (paper 3.2); ``body`` stays as it is."""
    sent = {name: copy.deepcopy(value) for name, value in body.items() if name not in OURS}
    if not facts:
        return sent
    message = sent["messages"][asked.message]
    told = separator.join(facts) + separator
    if asked.part is None:
        message["content"] = told + message["content"]
    else:
        part = message["content"][asked.part]
        part["text"] = told + (part.get("text") or "")
    return sent


class UpstreamClient:
    """The connection to the answering server.

    Args:
        upstream: its address; the key is taken from the environment.
        transport: another way to it, for tests.
    """

    def __init__(self, upstream: Upstream, transport: httpx.AsyncBaseTransport | None = None) -> None:
        key = os.environ.get(upstream.key_env, "")
        self.model = upstream.model
        self._url = f"{upstream.url}/chat/completions"
        self._client = httpx.AsyncClient(
            timeout=upstream.seconds,
            headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})},
            transport=transport,
            trust_env=False,
        )

    async def complete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the upstream answer; what the request did wrong is the client's to hear.

        Raises:
            RequestError: it cannot be reached, fails, or answers no JSON (502, 504).
        """
        content = self._encoded(body)
        try:
            response = await self._client.post(self._url, content=content)
        except httpx.TimeoutException as error:
            raise RequestError("upstream: no answer in time", 504, "upstream_timeout") from error
        except (httpx.HTTPError, ValueError) as error:
            raise RequestError(f"upstream: cannot be reached ({type(error).__name__})", 502, "upstream") from error
        _refuse_keyless(response)
        try:
            found = response.json() if len(response.content) <= MOST else None
            # What JSON cannot carry (NaN, half a surrogate pair) could not be passed on.
            json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            found = None
        if response.status_code >= 500 or not isinstance(found, dict):
            raise RequestError(f"upstream: answered {response.status_code}", 502, "upstream")
        return response.status_code, found

    async def stream(self, body: dict[str, Any]) -> AsyncIterator[bytes]:
        """The upstream's events as they come.

        Raises:
            RequestError: before the first event; it cannot be reached or refuses.
        """
        content = self._encoded(body)
        try:
            request = self._client.build_request("POST", self._url, content=content)
            response = await self._client.send(request, stream=True)
        except httpx.TimeoutException as error:
            raise RequestError("upstream: no answer in time", 504, "upstream_timeout") from error
        except (httpx.HTTPError, ValueError) as error:
            raise RequestError(f"upstream: cannot be reached ({type(error).__name__})", 502, "upstream") from error
        if response.status_code != 200:
            await response.aclose()
            _refuse_keyless(response)
            status = response.status_code if 400 <= response.status_code < 500 else 502
            raise RequestError(f"upstream: answered {response.status_code}", status, "upstream")
        return _events(response)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    def _encoded(self, body: dict[str, Any]) -> bytes:
        named = body if self.model is None else {**body, "model": self.model}
        try:
            return json.dumps(named, allow_nan=False, ensure_ascii=False).encode()
        except ValueError:
            raise RequestError("the request holds NaN or half a surrogate pair; send plain JSON") from None


def _refuse_keyless(response: httpx.Response) -> None:
    """A key that is not taken is this service's, and what is said about it is not for clients: some quote it."""
    if response.status_code in (401, 403):
        raise RequestError(f"upstream: answered {response.status_code}; it refuses the service's key", 502, "upstream")


async def _events(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in response.aiter_bytes():
            yield part
    finally:
        await response.aclose()
