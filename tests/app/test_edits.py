"""``/v1/edits`` and ``/v1/explain``: made, listed, read, added to, taken back, kept over a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from rv_edit.api.inputs import content_id
from rv_edit.app.journal import read_lines
from tests.api.conftest import say
from tests.app.conftest import chat_body, data_url, edit_body
from tests.editors.conftest import picture

Client = Callable[..., TestClient]


def test_the_life_of_an_edit(client: Client, serve: Any) -> None:
    service = serve()
    http = client(service)
    made = http.post("/v1/edits", json=edit_body(1, author="Ada"))
    body = made.json()
    assert made.status_code == 201 and body["version"] == 1 and body["author"] == "Ada"
    assert body["keys_added"] >= 1 and body["evidence"] == {"0": [[0, 0, 18, 18]], "1": [[18, 0, 36, 36]]}
    facts = ("Lamp 1 is a lamp.", "Lamp 1 is green.")
    crops = {0: ((0, 0, 18, 18),), 1: ((18, 0, 36, 36),)}
    assert body["id"] == content_id(picture(1), "What colour is lamp 1?", "green", facts, crops)
    answer = http.post("/v1/chat/completions", json=chat_body(1)).json()["rv_edit"]
    assert answer["version"] == 1 and answer["accepted"] and set(facts) <= set(answer["facts"])

    again = http.post("/v1/edits", json=edit_body(1, author="Ada"))
    assert again.status_code == 200 and again.json()["repeated"] and again.json()["version"] == 1
    second = http.post("/v1/edits", json=edit_body(1, "blue", id="second")).json()
    assert second["superseded"] == body["id"] and body["id"] in second["notes"][0]
    page = http.get("/v1/edits", params={"limit": 1, "offset": 1}).json()
    assert page["total"] == 2 and [one["id"] for one in page["data"]] == ["second"]
    assert http.get(f"/v1/edits/{body['id']}").json()["superseded_by"] == "second"

    more = http.patch("/v1/edits/second", json={"fact": "It hangs.", "evidence": [[0, 0, 9, 9]]})
    assert more.status_code == 200 and more.json()["reasoning"][-1] == "It hangs." and more.json()["version"] == 3
    gone = http.delete("/v1/edits/second", params={"author": "Bob"})
    assert gone.json() == {"id": "second", "undone": True, "version": 4}
    for attempt in (http.get, http.delete):
        assert attempt("/v1/edits/second").json()["error"]["code"] == "edit_not_found"
    checksum = service.vlm.state.editor.checksum()
    (*_, last) = read_lines(service.keeper.journal.path.read_bytes(), service.keeper.journal.path)[0]
    assert (last["kind"], last["removed"], last["by"]) == ("undo", ["second"], "Bob")
    assert abs(time.time() - datetime.fromisoformat(last["at"]).timestamp()) < 600
    service.close()
    again_service = serve()
    assert again_service.vlm.state.editor.checksum() == checksum
    assert [one["id"] for one in client(again_service).get("/v1/edits").json()["data"]] == [body["id"]]


def test_edits_begun_with_may_have_any_id(client: Client, serve: Any) -> None:
    service = serve()
    ids = ("a/b", "a", "ä ?#")
    for index, name in enumerate(ids):
        say(service.vlm, index, edit_id=name)
    http = client(service)
    for name in ids:
        address = f"/v1/edits/{quote(name, safe='')}"
        assert http.get(address).json().get("id") == name
        assert http.get(f"{address}/picture").json()["error"]["code"] == "picture_not_found"
        assert http.patch(address, json={"fact": "It hangs.", "evidence": [[0, 0, 9, 9]]}).status_code == 200
        assert http.delete(address).json()["id"] == name
    assert http.get("/v1/edits").json()["total"] == 0


def test_explaining(client: Client) -> None:
    http = client()
    asked = {"image": data_url(1), "question": "What colour is lamp 1?"}
    assert http.post("/v1/explain", json=asked).json()["reason"].startswith("Rejected: no edit is in force")
    http.post("/v1/edits", json=edit_body(1))
    told = http.post("/v1/explain", json=asked).json()
    assert told["accepted"] and told["threshold"] is None, "no gate is no number"
    patches = {
        fact: patch for one in told["neighbours"] for fact, patch in zip(one["facts"], one["patches"], strict=True)
    }
    assert patches["Lamp 1 is a lamp."] == [0, 0, 18, 18] and patches[told["facts"][0]] is None


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (edit_body(1, image="http://example.org/x.png"), 400, "not fetched"),
        (edit_body(1, question="  "), 400, "blank"),
        (edit_body(1, question="x" * 2001), 413, "2001 characters"),
        (edit_body(1, answer="x" * 501), 413, "501 characters"),
        (edit_body(1, reasoning=["x" * 1001], evidence={}), 413, "1001 characters"),
        (edit_body(1, reasoning=["a fact."] * 17), 413, "17, at most 16"),
        (edit_body(1, evidence={"0": [[0, 0, 9, 9]] * 17}), 413, "17, at most 16"),
        (edit_body(1, evidence={"7": [[0, 0, 9, 9]]}), 400, "crops for fact 7"),
        (edit_body(1, evidence={"0": [[0, 0, 900, 9]]}), 400, "outside|reaches|picture"),
        (edit_body(1, evidence={"0": [[0, 0, 9]]}), 422, "evidence"),
        (edit_body(1, evidence={"-1": [[0, 0, 9, 9]]}), 422, "evidence"),
        (edit_body(1, id="../../etc/passwd"), 422, "id"),
        (edit_body(1, id=""), 422, "id"),
        (edit_body(1, evidence={"0": [[0, 0, 9, 9]], "00": [[9, 9, 18, 18]]}), 422, "evidence"),
        (edit_body(1, id=".."), 422, "id"),  # clients ask for /v1/ where they are told /v1/edits/..
        (edit_body(1, on_conflict="oldest"), 422, "on_conflict"),
        (edit_body(1, choices=["a"]), 422, "choices"),
        ({"question": "What?"}, 422, "image"),
        ([], 422, "body"),
    ],
)
def test_bad_edits_are_told_why(client: Client, body: Any, status: int, said: str) -> None:
    import re

    http = client()
    answer = http.post("/v1/edits", json=body)
    error = answer.json()["error"]
    assert answer.status_code == status and re.search(said, error["message"]), error
    assert "\n" not in error["message"] and len(error["message"]) < 400
    assert http.get("/v1/edits").json()["total"] == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"nonsense", b"\xff\xfe", b"[" * 100_000, b'{"image": "\\ud800"}', b'{"question": NaN}',
        b'{"image": "x", "question": "\\ud800", "answer": "a", "reasoning": []}',
        b'{"image": "x", "question": "q", "answer": "a", "reasoning": ["\\udfff"]}',
        b'{"image": "x", "question": "q", "answer": "a", "reasoning": [], "evidence": {"0": [[0, 0, 1e999, 1]]}}',
        b'{"image": "x", "question": "q", "answer": "a", "reasoning": [], "evidence": {"0": [[0, 0, NaN, 1]]}}',
    ],
)  # fmt: skip
def test_bodies_that_are_no_request(client: Client, raw: bytes) -> None:
    http = client()
    for path in ("/v1/edits", "/v1/chat/completions", "/v1/explain"):
        answer = http.post(path, content=raw, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["error"]["message"]


def test_a_fault_is_a_500_that_says_nothing(client: Client, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = serve()
    http = client(service)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(service.keeper, "edit", fail)
    answer = http.post("/v1/edits", json=edit_body(1))
    assert answer.status_code == 500 and "secret" not in answer.text
    assert answer.json()["error"]["type"] == "server_error"
    assert http.get("/healthz").json()["status"] == "ok"
