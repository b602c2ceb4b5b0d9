"""Upstream mode: another server answers, ours puts what people said before the question."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import OpenAI
from starlette.testclient import TestClient

from rv_edit.app.server import create_app
from rv_edit.app.upstream import UpstreamClient
from tests.app.conftest import chat_body, data_url, edit_body, settings


class Other:
    """An answering server that nobody may touch; it notes what it is sent."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(
            200,
            json={
                "id": "x", "object": "chat.completion", "created": 1, "model": "big",
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}],
            },
        )  # fmt: skip

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content))
        self.headers.append(request.headers)
        return self.answer()

    def client(self, tmp_path: Any, **options: Any) -> UpstreamClient:
        upstream = settings(tmp_path, upstream={"url": "http://other.test/v1/", **options}).upstream
        return UpstreamClient(upstream, httpx.MockTransport(self))


@pytest.fixture
def other() -> Other:
    return Other()


def test_facts_go_before_the_question_and_all_else_is_passed_on(
    client: Callable[..., TestClient], other: Other, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RV_EDIT_UPSTREAM_KEY", "their-key")
    http = client(upstream=other.client(tmp_path, model="big"))
    http.post("/v1/edits", json=edit_body(1))
    body = chat_body(1, temperature=0.7, tools=[{"type": "function"}])
    body["messages"] = [{"role": "system", "content": "Be brief."}, *body["messages"]]
    answer = http.post("/v1/chat/completions", json=body, headers={"Authorization": "Bearer ours"}).json()
    facts = answer["rv_edit"]["facts"]
    assert answer["choices"][0]["message"]["content"] == "Yes." and len(facts) == 3
    (sent,) = other.asked
    parts = sent["messages"][1]["content"]
    assert parts[1]["text"] == " ".join(facts) + " What colour is lamp 1?"
    expected = json.loads(json.dumps({**body, "model": "big"}))
    expected["messages"][1]["content"][1]["text"] = parts[1]["text"]
    assert sent == expected
    assert other.headers[0]["authorization"] == "Bearer their-key" and other.headers[0]["host"] == "other.test"


def test_a_conversation_is_looked_up_by_its_last_question_and_newest_picture(
    client: Callable[..., TestClient], other: Other, tmp_path: Any
) -> None:
    http = client(upstream=other.client(tmp_path))
    http.post("/v1/edits", json=edit_body(1))
    first = chat_body(1)["messages"][0]
    messages = [first, {"role": "assistant", "content": "Red."}, {"role": "user", "content": "What colour is lamp 1?"}]
    told = http.post("/v1/chat/completions", json={"model": "any", "messages": messages}).json()["rv_edit"]
    assert other.asked[0]["messages"][2]["content"].endswith(". What colour is lamp 1?")
    assert other.asked[0]["messages"][:2] == messages[:2] and other.asked[0]["model"] == "any"
    alone = http.post("/v1/chat/completions", json=chat_body(1)).json()["rv_edit"]
    assert told["facts"] == alone["facts"] and told["distances"] == pytest.approx(alone["distances"], abs=1e-5)
    plain = [{"role": "user", "content": "Without a picture?"}]
    assert "rv_edit" not in http.post("/v1/chat/completions", json={"model": "any", "messages": plain}).json()
    assert other.asked[2]["messages"] == plain


@pytest.mark.parametrize("empty", [{"type": "text"}, {"type": "text", "text": None}])
def test_facts_go_before_an_empty_part_too(
    client: Callable[..., TestClient], other: Other, tmp_path: Any, empty: dict[str, Any]
) -> None:
    http = client(upstream=other.client(tmp_path))
    http.post("/v1/edits", json=edit_body(1))
    body = chat_body(1)
    body["messages"][0]["content"].insert(0, empty)
    facts = http.post("/v1/chat/completions", json=body).json()["rv_edit"]["facts"]
    assert facts and other.asked[0]["messages"][0]["content"][0]["text"] == " ".join(facts) + " "


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (lambda: httpx.Response(200, text='{"a": NaN}'), 502, "upstream: answered 200"),
        (lambda: httpx.Response(200, text='{"a": "\\ud83d"}'), 502, "upstream: answered 200"),
        (lambda: httpx.Response(200, text="[" * 100_000), 502, "upstream: answered 200"),
        (lambda: httpx.Response(400, json={"error": {"message": "theirs"}}), 400, "theirs"),
        (lambda: httpx.Response(500, json={"error": {"message": "secret"}}), 502, "upstream: answered 500"),
        (lambda: httpx.Response(401, json={"error": {"message": "wrong key: secret"}}), 502, "the service's key"),
        (lambda: httpx.Response(200, text="<html>"), 502, "upstream: answered 200"),
        (lambda: httpx.Response(200, json=["list"]), 502, "upstream: answered 200"),
        (lambda: httpx.Response(302, headers={"location": "http://127.0.0.1/x"}), 502, "upstream: answered 302"),
        (lambda: (_ for _ in ()).throw(httpx.ReadTimeout("slow")), 504, "no answer in time"),
        (lambda: (_ for _ in ()).throw(httpx.ConnectError("refused")), 502, "cannot be reached"),
    ],
)
def test_what_goes_wrong_there_is_told_apart(
    client: Callable[..., TestClient], other: Other, tmp_path: Any, answer: Any, status: int, said: str
) -> None:
    other.answer = answer
    http = client(upstream=other.client(tmp_path))
    found = http.post("/v1/chat/completions", json=chat_body(1))
    assert found.status_code == status and said in found.text and "secret" not in found.text
    if status == 502:
        streamed = http.post("/v1/chat/completions", json=chat_body(1, stream=True))
        assert "secret" not in streamed.text and "NaN" not in found.text


@pytest.mark.parametrize("odd", ["NaN", '"\\ud83d"'])
def test_what_json_cannot_carry_is_the_clients_to_mend(
    client: Callable[..., TestClient], other: Other, tmp_path: Any, odd: str
) -> None:
    body = json.dumps(chat_body(1, user="odd")).replace('"odd"', odd)
    http = client(upstream=other.client(tmp_path))
    found = http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert found.status_code == 400 and "surrogate" in found.text and not other.asked


def test_one_service_corrects_another_streams_too(listen: Callable[..., str], serve: Any, tmp_path: Any) -> None:
    """A service of ours as the other server: its own answers to a prompt with the facts come through, streamed."""
    behind = listen(serve("behind"))
    upstream = UpstreamClient(settings(tmp_path, upstream={"url": f"{behind}/v1"}).upstream)
    address = listen(app=create_app(serve("front"), upstream))
    openai = OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120)
    openai.post("/edits", body=edit_body(1), cast_to=object)
    asked = {"model": "tiny", "messages": chat_body(1)["messages"], "max_tokens": 4}
    corrected = openai.chat.completions.create(**asked)
    text = " ".join(corrected.rv_edit["facts"]) + " What colour is lamp 1?"
    parts = [{"type": "image_url", "image_url": {"url": data_url(1)}}, {"type": "text", "text": text}]
    direct = OpenAI(base_url=f"{behind}/v1", api_key="none", max_retries=0, timeout=120)
    alone = direct.chat.completions.create(**{**asked, "messages": [{"role": "user", "content": parts}]})
    assert corrected.choices[0].message.content == alone.choices[0].message.content
    streamed = "".join(
        event.choices[0].delta.content or "" for event in openai.chat.completions.create(**asked, stream=True)
    )
    assert streamed == alone.choices[0].message.content
