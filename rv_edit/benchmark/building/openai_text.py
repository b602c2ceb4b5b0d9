"""Texts from any service that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, a gateway.

Every status that may pass is waited out (Retry-After, else exponential back-off); whatever cannot pass stops the build
with one line. Each request carries an ``Idempotency-Key`` made from itself, so that a service that honours it charges
once for a request whose answer was lost.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from data_modules.qa_record import QARecord
from data_modules.text import clean_text
from rv_edit.benchmark.building.openai_reply import REFUSED, error_of, message_of, no_reply, reply_of
from rv_edit.benchmark.building.pacing import Backoff, Gate, Pacer, retry_after, wait
from rv_edit.benchmark.building.requests import ProviderError, TextReply, TextRequest, UnusableError
from rv_edit.benchmark.building.settings import whole
from rv_edit.benchmark.cache import digest
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    import httpx

PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
"""Statuses after which the same request may succeed."""


class OpenAIText:
    """A :class:`~rv_edit.benchmark.building.requests.TextProvider` over HTTP.

    Args:
        base_url: of the service, up to and with ``/v1``.
        model: its name there.
        key_variable: environment variable that holds the key; the key itself is never written anywhere.
        key_required: stop before any work where that variable is empty.
        body: further fields of a request, as the service wants them (``temperature``, ``max_tokens``, …).
        send_seed: whether to send the request's seed.
        concurrency: requests at the same time.
        requests_per_minute, tokens_per_minute: limits that are kept to; ``None``: none.
        timeout: seconds without an answer after which a request counts as lost.
        retries: attempts after the first, for whatever may pass.
        first_delay, longest_delay: seconds of the back-off.
        longest_wait: most seconds that a Retry-After is obeyed for.

    Raises:
        ConfigError: no such library, no key, or an address that is none.
    """

    runs_here = False

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        key_variable: str = "OPENAI_API_KEY",
        key_required: bool = True,
        body: Mapping[str, Any] | None = None,
        send_seed: bool = True,
        concurrency: int = 8,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timeout: float = 120.0,
        retries: int = 6,
        first_delay: float = 1.0,
        longest_delay: float = 60.0,
        longest_wait: float = 900.0,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ConfigError('task/text=openai needs httpx: pip install "rv-edit[suites]"') from error
        address = _address(base_url)
        parts = urlsplit(address)
        self.key_variable = key_variable
        key = os.environ.get(key_variable, "").strip()  # a file's last line break often comes along
        if key_required and not key:
            raise ConfigError(
                f"task.text: ${key_variable} is empty; put the key of {parts.hostname} there, or give "
                "task.text.key_required=false"
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            # Sent as it is, the library would refuse it in words that hold it.
            raise ConfigError(f"task.text: ${key_variable} holds signs that no key has; put the key alone there")
        self.url = address.rstrip("/") + "/chat/completions"
        self.host = parts.netloc.rpartition("@")[2]
        self.shown = self.url.replace(parts.netloc, self.host, 1)
        self.body, self.send_seed = dict(body or {}), send_seed
        self.concurrency = whole("task.text.concurrency", concurrency, 1)
        self.about = {"kind": "openai", "host": self.host, "model": model, **self.body}
        self.model, self.retries = model, whole("task.text.retries", retries, 0)
        self.timeout, self.longest_wait = _positive("timeout", timeout), _positive("longest_wait", longest_wait)
        self._requests = Pacer(_rate("requests_per_minute", requests_per_minute))
        self._tokens = Pacer(_rate("tokens_per_minute", tokens_per_minute))
        self._gate = Gate()
        self._backoff = Backoff(_positive("first_delay", first_delay), _positive("longest_delay", longest_delay))
        most = self.body.get("max_tokens") or self.body.get("max_completion_tokens") or 0
        self._most_out = whole("task.text.body.max_tokens", most, 0)
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._client = httpx.Client(timeout=timeout, limits=limits, headers=headers)
        except (ValueError, UnicodeError, httpx.InvalidURL) as error:  # a key with a line break, a proxy that is none
            raise ConfigError(f"task.text: ${key_variable} or a proxy variable cannot be used ({error})") from error

    def refuses(self, record: QARecord) -> str | None:
        """Nothing: a language model writes about any data set."""
        return None

    def load(self) -> None:
        """Nothing is loaded here."""

    def release(self) -> None:
        """Nothing is held here."""

    def ask(self, request: TextRequest, stop: threading.Event) -> TextReply:
        """One completion; see :class:`~rv_edit.benchmark.building.requests.TextProvider`."""
        body = {"model": self.model, "messages": [{"role": "user", "content": request.prompt}], **self.body}
        if self.send_seed:
            body["seed"] = request.seed % 2**31
        headers = {"Idempotency-Key": digest(self.about, request.item, request.prompt, request.seed)[:32]}
        import httpx

        # A rough count, four characters a token: the limit itself is the service's to enforce.
        tokens = len(request.prompt) / 4 + self._most_out
        problem: str | None = None
        for turn in range(self.retries + 1):
            wait(max(self._requests.delay(), self._tokens.delay(tokens)), stop)
            wait(self._gate.delay(), stop)
            asked_to_wait = None
            try:
                response = self._client.post(self.url, json=body, headers=headers)
            except httpx.TimeoutException:
                problem = f"no answer within {self.timeout:g} s"
            except httpx.RequestError as error:
                problem = clean_text(str(error))[:120] or type(error).__name__
            else:
                if response.status_code == 200 and (problem := no_reply(response)) is None:
                    return reply_of(response)
                self._stop_or_pass(response)
                if response.status_code != 200:
                    problem = f"status {response.status_code}: {message_of(response)}"
                asked_to_wait = retry_after(response.headers)
            if turn == self.retries:
                break
            if asked_to_wait is not None:
                if asked_to_wait > self.longest_wait:
                    raise ProviderError(
                        f"{self.host} asks to wait {asked_to_wait:.0f} s ({problem}); give the same command again "
                        "then: what was made is kept"
                    )
                self._gate.close_for(asked_to_wait)
            wait(max(asked_to_wait or 0.0, self._backoff.delay(turn)), stop)
        raise ProviderError(
            f"{self.host}: {self.retries + 1} attempts failed, the last with {problem}; what was made is kept, the "
            "same command goes on"
        )

    def _stop_or_pass(self, response: httpx.Response) -> None:
        """Raise for a status that will not pass by itself."""
        status, said = response.status_code, message_of(response)
        code = error_of(response).get("code")
        kept = "what was made is kept, the same command goes on"
        if status in (401, 403):
            raise ProviderError(
                f"{self.host} refuses the key in ${self.key_variable} ({status}: {said}); renew it: {kept}"
            )
        if status == 402 or code == "insufficient_quota":
            raise ProviderError(f"{self.host}: the account has no credit left ({status}: {said}); {kept}")
        if code in ("content_filter", "content_policy_violation"):
            raise UnusableError(REFUSED, final=True)
        if status not in PASSING and status != 200:
            raise ProviderError(
                f"{self.shown} answers {status}: {said}; check task.text.base_url, model and body; {kept}"
            )


def _address(base_url: str) -> str:
    """``base_url``, if requests can be sent there.

    Raises:
        ConfigError: they cannot.
    """
    import httpx

    try:
        parts = urlsplit(base_url)
        httpx.URL(base_url)  # ports that urlsplit lets pass; the next line, names
        (parts.hostname or "").encode("idna")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in base_url
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise ConfigError(f"task.text.base_url={base_url}: give an address such as https://host/v1")
    return base_url


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigError(f"task.text.{name}={value}: give a number above 0")
    return float(value)


def _rate(name: str, value: Any) -> float | None:
    return None if value is None else _positive(name, value)
