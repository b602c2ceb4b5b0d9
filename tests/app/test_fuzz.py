"""Whatever is sent, the service does not fail: generated from its own description, and bodies damaged at random."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from rv_edit.app.service import Service
from tests.app.conftest import chat_body, data_url, edit_body

pytestmark = pytest.mark.soak

BODIES = 10_000
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 10**30, 1e308, float("nan"), float("inf"), "", " ", "\x00", "\ud83d", "\u202e\n",
    "🐈‍⬛", "x" * 5000, "../../etc/passwd", "data:", "data:image/png;base64,AAAA", "http://127.0.0.1/", "file:///etc/passwd",
    "<image></s>", [], [[]], [None], ["a", 1], {}, {"a": 1}, {"0": [[0, 0, 1, 1]]}, "user", "text", "refuse",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a body."""
    found = [path]
    if isinstance(value, dict):
        found += [place for key, inner in value.items() for place in places(inner, (*path, key))]
    elif isinstance(value, list):
        found += [place for at, inner in enumerate(value) for place in places(inner, (*path, at))]
    return found


def damaged(body: Any, draw: random.Random) -> Any:
    """A body with some of its places replaced, removed, doubled or moved."""
    body = copy.deepcopy(body)
    for _ in range(draw.randint(1, 3)):
        *parents, last = draw.choice(places(body)) or (None,)
        if last is None:
            return draw.choice(NASTY)
        place = body
        for key in parents:
            place = place[key]
        how = draw.random()
        if how < 0.6:
            place[last] = copy.deepcopy(draw.choice(NASTY))
        elif how < 0.75:
            del place[last]
        elif how < 0.9 and isinstance(place, list):
            place.extend(copy.deepcopy(place[last]) for _ in range(draw.choice((1, 70))))
        elif isinstance(place, dict):
            place[draw.choice(("extra", "n", "stream", "choices", "id", ""))] = copy.deepcopy(draw.choice(NASTY))
    return body


def encoded(body: Any) -> bytes:
    import json

    return json.dumps(body, allow_nan=True).encode("ascii")


def test_damaged_bodies(client: Callable[..., TestClient]) -> None:
    http = client(max_new_tokens=2)
    draw = random.Random(0)
    whole = (
        ("POST", "/v1/edits", lambda: edit_body(draw.randrange(3), id=f"f{draw.randrange(40)}")),
        ("POST", "/v1/chat/completions", lambda: chat_body(draw.randrange(3), choices=["red", "blue"])),
        ("POST", "/v1/chat/completions", lambda: chat_body(draw.randrange(3), stream=True)),
        ("POST", "/v1/explain", lambda: {"image": data_url(1), "question": "What is it?"}),
        ("POST", "/v1/map", lambda: {"image": data_url(1), "question": "What is it?"}),
        ("POST", "/v1/evidence", lambda: {"image": data_url(1), "reasoning": ["It is a lamp."]}),
        ("POST", "/v1/words", lambda: {"texts": ["a zebra", "What is it?"]}),
        ("PATCH", "/v1/edits/f1", lambda: {"fact": "It hangs.", "evidence": [[0, 0, 9, 9]]}),
        ("DELETE", "/v1/edits/f2", lambda: {}),
    )
    statuses: dict[int, int] = {}
    for turn in range(BODIES):
        method, path, make = draw.choice(whole)
        content = encoded(damaged(make(), draw))
        if draw.random() < 0.1:
            cut = bytearray(content[: draw.randrange(len(content) + 1)])
            for _ in range(draw.randrange(4)):
                if cut:
                    cut[draw.randrange(len(cut))] = draw.randrange(256)
            content = bytes(cut)
        answer = http.request(method, path, content=content, headers={"content-type": "application/json"})
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, (turn, method, path, content[:500], answer.text)
        if answer.status_code >= 400:
            assert "\n" not in answer.json()["error"]["message"]
    print(statuses)
    assert {200, 201, 400, 413, 422} <= set(statuses), "too tame to find anything"
    assert http.get("/healthz").json()["status"] == "ok"


def test_what_the_description_allows(listen: Callable[..., str], serve: Callable[..., Service]) -> None:
    address = listen(serve(max_new_tokens=2))
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    asked: dict[str, int] = {}
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def run(case: Any) -> None:
            asked[case.operation.label] = asked.get(case.operation.label, 0) + 1
            case.validate_response(case.call(), checks=CHECKS)

        run()
    assert len(asked) == 16 and sum(asked.values()) > 1000, asked
