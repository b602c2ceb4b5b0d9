"""The client against a service on this machine that misbehaves in every way known."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rv_edit.benchmark.building import openai_reply
from rv_edit.benchmark.building.openai_text import OpenAIText
from rv_edit.benchmark.building.requests import ProviderError, StoppedError, TextReply, UnusableError
from rv_edit.cli import one_line
from rv_edit.errors import ConfigError
from tests.benchmark.building.bad_server import BadServer, Call, Reply, completion, failure
from tests.benchmark.building.subjects import record, text_request

QUICK: dict[str, Any] = {"first_delay": 0.01, "longest_delay": 0.02, "timeout": 60.0, "retries": 4}


@pytest.fixture
def server() -> Iterator[BadServer]:
    with BadServer() as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def client(server: BadServer, **options: Any) -> OpenAIText:
    return OpenAIText(server.url, "gpt-x", **{**QUICK, **options})


def ask(provider: OpenAIText, stop: threading.Event | None = None) -> TextReply:
    return provider.ask(text_request(), stop or threading.Event())


def first(*replies: Reply) -> Callable[[Call], Reply]:
    """These replies in turn, the last one for ever."""
    return lambda call: replies[min(call.place, len(replies) - 1)]


def test_a_request_and_its_reply(server: BadServer) -> None:
    server.behave = first(completion("hello"))
    provider = client(server, body={"temperature": 0.5, "max_tokens": 9})
    reply = ask(provider)
    assert reply == TextReply("hello", 50, 20, {"model": "served-1"})
    (call,) = server.calls
    assert call.body == {
        "model": "gpt-x", "messages": [{"role": "user", "content": "Please rephrase: x"}], "temperature": 0.5,
        "max_tokens": 9, "seed": 7,
    }  # fmt: skip
    assert call.headers["Authorization"] == "Bearer secret-key" and len(call.headers["Idempotency-Key"]) == 32
    assert "secret-key" not in json.dumps(dict(provider.about))
    assert provider.refuses(record()) is None


def test_no_seed_no_key(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.behave = first(completion("hello"))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match=r"\$OPENAI_API_KEY is empty"):
        client(server)
    ask(client(server, key_required=False, send_seed=False))
    assert "seed" not in server.calls[0].body and "Authorization" not in server.calls[0].headers


@pytest.mark.parametrize(
    "bad",
    [
        failure(429), failure(500), Reply(502, b"<html>bad gateway</html>"), failure(503), failure(408),
        Reply(hang_up=True), Reply(body=completion("hello").body[:40], missing=100), Reply(delay=1.0),
        Reply(529, b"\xff\xfe"), Reply(500, b'{"error": ' + b"[" * 200_000),
        Reply(body=b"\n<!DOCTYPE html><title>Please log in</title>"),
        Reply(body=b'{"error": {"message": "upstream is busy", "code": 429}}'),
    ],
    ids=[
        "429", "500", "502-html", "503", "408", "hung-up", "cut-off", "slow", "bytes", "deep", "page", "error-as-200",
    ],
)  # fmt: skip
def test_what_may_pass_is_asked_again(server: BadServer, bad: Reply) -> None:
    server.behave = first(bad, bad, completion("hello"))
    slow = bad.delay > 0  # on a busy machine a good answer may be late as well
    assert ask(client(server, **({"timeout": 0.5, "retries": 30} if slow else {}))).text == "hello"
    assert len(server.calls) == 3 or (slow and len(server.calls) > 3)
    assert len({call.headers["Idempotency-Key"] for call in server.calls}) == 1
    assert len({json.dumps(call.body) for call in server.calls}) == 1


def test_another_request_has_another_idempotency_key(server: BadServer) -> None:
    server.behave = first(completion("hello"))
    provider = client(server)
    for request in (text_request(), text_request(seed=8), text_request(item="q2/t"), text_request(prompt="y")):
        provider.ask(request, threading.Event())
    assert len({call.headers["Idempotency-Key"] for call in server.calls}) == 4


@pytest.mark.parametrize(
    ("bad", "said"), [(failure(500, "boom"), "boom"), (Reply(delay=1.0), "no answer within 0.1 s")]
)
def test_a_service_that_stays_down_stops_the_build_in_one_line(server: BadServer, bad: Reply, said: str) -> None:
    server.behave = first(bad)
    with pytest.raises(ProviderError, match=r"3 attempts failed") as caught:
        ask(client(server, retries=2, timeout=0.1 if bad.delay else 60.0))
    line = one_line(caught.value)
    assert line is not None and said in line and "\n" not in line and "same command" in line
    assert bad.delay or len(server.calls) == 3


def test_nobody_listens() -> None:
    with BadServer() as server:
        pass
    with pytest.raises(ProviderError, match="3 attempts failed"):
        ask(client(server, retries=2))


def test_retry_after_is_obeyed_by_all_threads(server: BadServer) -> None:
    times: list[float] = []

    def behave(call: Call) -> Reply:
        times.append(time.monotonic())
        return failure(429, retry_after="2") if call.place == 0 else completion("hello")

    server.behave = behave
    provider = client(server, concurrency=3)
    ask(provider)
    assert times[1] - times[0] >= 1.9
    times.clear()
    server.calls.clear()
    threads = [threading.Thread(target=ask, args=(provider,)) for _ in range(3)]
    threads[0].start()
    while provider._gate.delay() == 0.0:  # until the 429 has arrived
        time.sleep(0.001)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) == 4 and all(moment - times[0] >= 1.9 for moment in times[1:])


def test_a_long_retry_after_stops_the_build(server: BadServer) -> None:
    server.behave = first(failure(429, "slow down", retry_after="7200"))
    with pytest.raises(ProviderError, match="asks to wait 7200 s"):
        ask(client(server))
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (failure(401, "Incorrect API key provided"), r"refuses the key in \$OPENAI_API_KEY \(401: Incorrect"),
        (failure(403, "forbidden"), r"refuses the key in \$OPENAI_API_KEY \(403"),
        (failure(402, "pay"), "no credit left"),
        (failure(429, "exceeded your quota", "insufficient_quota"), "no credit left"),
        (failure(404, "model gpt-x does not exist"), "answers 404: model gpt-x"),
        (failure(400, "unknown\nfield"), "answers 400: unknown field"),
        (Reply(301, b"", {"Location": "http://elsewhere"}), "answers 301"),
        (Reply(400, b"nonsense"), "answers 400: Bad Request"),
    ],
)
def test_what_cannot_pass_stops_at_once_in_one_line(server: BadServer, bad: Reply, said: str) -> None:
    server.behave = first(bad)
    with pytest.raises(ProviderError, match=said) as caught:
        ask(client(server))
    assert len(server.calls) == 1 and "\n" not in str(caught.value) and "secret-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Reply(body=completion("hello").body[:60]), openai_reply.NO_ANSWER),
        (Reply(body=b'{"choices": []}'), openai_reply.NO_ANSWER),
        (Reply(body=b'{"choices": [{"message": "hi"}]}'), openai_reply.NO_ANSWER),
        (Reply(body=b"[]"), openai_reply.NO_ANSWER),
        (Reply(body=b"null"), openai_reply.NO_ANSWER),
        (Reply(body=b'{"choices": ' + b"[" * 200_000), openai_reply.NO_ANSWER),
        (Reply(body=b""), openai_reply.NO_ANSWER),
        (completion(None), openai_reply.NO_ANSWER),
        (completion("  \n"), openai_reply.NO_ANSWER),
        (completion(["a"]), openai_reply.NO_ANSWER),
        (completion("half of i", finish="length"), openai_reply.CUT_OFF),
        (completion(None, refusal="I cannot"), openai_reply.REFUSED),
        (completion("", finish="content_filter"), openai_reply.REFUSED),
        (failure(400, "filtered", "content_filter"), openai_reply.REFUSED),
        (failure(200, "filtered", "content_filter"), openai_reply.REFUSED),
    ],
)
def test_answers_that_cannot_be_used(server: BadServer, bad: Reply, reason: str) -> None:
    server.behave = first(bad)
    with pytest.raises(UnusableError) as caught:
        ask(client(server))
    assert caught.value.reason == reason and len(server.calls) == 1


def test_odd_usage_costs_nothing(server: BadServer) -> None:
    document = json.loads(completion("hello").body)
    document["usage"] = {"prompt_tokens": "many", "completion_tokens": True}
    server.behave = first(Reply(body=json.dumps(document).encode()))
    reply = ask(client(server))
    assert (reply.tokens_in, reply.tokens_out) == (None, None)


def test_a_stop_ends_the_waiting(server: BadServer) -> None:
    server.behave = first(failure(429, retry_after="30"))
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    with pytest.raises(StoppedError):
        ask(client(server), stop)
    assert time.monotonic() - started < 25


def test_requests_a_minute(server: BadServer) -> None:
    server.behave = first(completion("hello"))
    provider = client(server, requests_per_minute=600)
    started = time.monotonic()
    for _ in range(4):
        ask(provider)
    assert time.monotonic() - started >= 0.3
    slow = client(server, tokens_per_minute=6000, body={"max_tokens": 50})
    started = time.monotonic()
    for _ in range(2):
        ask(slow)
    assert time.monotonic() - started >= 0.5


def test_a_page_that_stays_is_no_answer_of_any_item(server: BadServer) -> None:
    """What every request gets in place of an answer must stop the build, not use up the attempts of all items."""
    server.behave = first(Reply(body=b"<html>not here</html>"))
    with pytest.raises(ProviderError, match=r"3 attempts failed, the last with a web page .* task\.text\.base_url"):
        ask(client(server, retries=2))


@pytest.mark.parametrize(
    "address",
    [
        "", "localhost:8000", "ftp://host/v1", "https://", "http://[::1/v1", "http://host:abc/v1", "http://a host/v1",
        f"https://{'a' * 80}.com/v1",
    ],
)  # fmt: skip
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        OpenAIText(address, "gpt-x")


@pytest.mark.parametrize("key", ["secret with \u2028 in it", "secret\r\nX: y", "sec\tret", "secret key", "s\u00e9cret"])
def test_a_key_that_no_header_can_hold_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as caught:
        OpenAIText("http://127.0.0.1:1/v1", "gpt-x")
    assert "sec" not in str(caught.value) and "cret" not in str(caught.value)


def test_blanks_around_a_key_are_not_part_of_it(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " secret-key\n")
    server.behave = first(completion("hello"))
    assert ask(client(server)).text == "hello" and server.calls[0].headers["Authorization"] == "Bearer secret-key"


def test_a_password_in_the_address_is_not_shown(server: BadServer) -> None:
    server.behave = first(failure(404, "no such model"))
    with pytest.raises(ProviderError, match="answers 404") as caught:
        ask(OpenAIText(server.url.replace("//", "//user:hidden@"), "gpt-x", **QUICK))
    assert "hidden" not in str(caught.value) and "/v1/chat/completions" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0}, {"concurrency": None}, {"retries": -1}, {"timeout": None}, {"timeout": 0},
        {"requests_per_minute": 0}, {"tokens_per_minute": -5}, {"first_delay": "soon"}, {"longest_wait": float("nan")},
        {"body": {"max_tokens": "many"}},
    ],
)  # fmt: skip
def test_options_that_cannot_be_used(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=rf"task\.text\.{name}") as caught:
        OpenAIText("http://127.0.0.1:1/v1", "gpt-x", **options)
    assert "\n" not in str(caught.value)
