"""Keys, names of the host, sizes of bodies, figures for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from rv_edit.app.keys import load_keys
from rv_edit.errors import ConfigError
from tests.app.conftest import chat_body, edit_body, settings

Client = Callable[..., TestClient]


def test_off_this_machine_a_key_is_made_and_asked_for(client: Client, tmp_path: Path) -> None:
    http = client(host="0.0.0.0")
    file = tmp_path / "data" / "api_keys"
    name, key = file.read_text().split()
    assert file.stat().st_mode & 0o077 == 0 and name == "owner" and len(key) >= 40
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {key}"}, {"Authorization": key}):
        for path in ("/v1/models", "/v1/edits", "/metrics", "/openapi.json", "/nowhere"):
            answer = http.get(path, headers=headers)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == "invalid_api_key" and key not in answer.text
    assert http.get("/healthz").status_code == 200
    assert http.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert load_keys(settings(tmp_path / "data", host="0.0.0.0"))[0].owner(key) == "owner", "the same after a restart"


def test_edits_carry_the_name_of_the_key(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# people\nAda aaaaaaaaaaaaaaaaaaaa\n\nBob bbbbbbbbbbbbbbbbbbbb\n")
    http = client(auth="key", keys=str(file))
    made = http.post(
        "/v1/edits", json=edit_body(1, author="Ada"), headers={"Authorization": "Bearer bbbbbbbbbbbbbbbbbbbb"}
    )
    assert made.json()["author"] == "Bob", "whatever the request claims"
    name, ada = made.json()["id"], {"Authorization": "Bearer aaaaaaaaaaaaaaaaaaaa"}
    assert http.delete(f"/v1/edits/{name}", params={"author": "Bob"}, headers=ada).json()["undone"]
    assert '"by":"Ada"' in (tmp_path / "data/journal.jsonl").read_text().splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [("Ada short\n", "line 1"), ("Ada\n", "line 1"), ("# nobody\n", "no key in it"), (None, "no such")],
)
def test_bad_key_files(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "keys"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_keys(settings(tmp_path / "data", auth="key", keys=str(file)))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200), ("localhost", 200), ("[::1]:8000", 200), ("testserver", 200), ("lab.example:80", 200),
        ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("", 403), ("localhost.evil.example:8000", 403),
    ],
)  # fmt: skip
def test_without_a_key_pages_of_other_names_are_kept_out(client: Client, host: str, status: int) -> None:
    http = client(hosts=["testserver", "LAB.example"])
    assert http.get("/v1/models", headers={"Host": host}).status_code == status


def test_bodies_are_bounded_whatever_their_header_says(listen: Callable[..., str]) -> None:
    address = listen(body_bytes=5000)
    read = 0

    def drip() -> Iterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1000
            yield b"x" * 1000

    for content, headers in ((b"x" * 5001, {}), (drip(), {})):
        answer = httpx.post(
            f"{address}/v1/edits", content=content, headers={"content-type": "application/json", **headers}
        )
        assert answer.status_code == 413 and "larger than 5000" in answer.json()["error"]["message"]
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_browsers_form_cannot_edit(client: Client) -> None:
    """What a page may send without asking first (plain text, forms) is no request here."""
    import json

    http = client()
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = {} if kind is None else {"content-type": kind}
        answer = http.post("/v1/edits", content=json.dumps(edit_body(1)).encode(), headers=headers)
        assert answer.status_code == 422, answer.text
    assert http.get("/v1/edits").json()["total"] == 0
    assert (
        "access-control-allow-origin"
        not in http.options("/v1/edits", headers={"Origin": "http://evil.example"}).headers
    )


def test_prometheus_is_told_what_happened(client: Client) -> None:
    http = client()
    http.post("/v1/edits", json=edit_body(1))
    http.post("/v1/chat/completions", json=chat_body(1))
    for path in ("/v1/edits/a", "/v1/edits/b", "/no/such/thing", "/another"):
        http.get(path)
    lines = dict(line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if not line.startswith("#"))
    assert lines['rv_edit_requests_total{method="POST",route="/v1/edits",status="201"}'] == "1.0"
    assert lines['rv_edit_requests_total{method="GET",route="/v1/edits/{edit_id}",status="404"}'] == "2.0"
    assert lines['rv_edit_requests_total{method="GET",route="other",status="404"}'] == "2.0"
    assert lines['rv_edit_retrievals_total{accepted="yes"}'] == "1.0" and lines["rv_edit_edits"] == "1.0"
    assert lines['rv_edit_changes_total{kind="edit"}'] == "1.0" and float(lines["rv_edit_journal_bytes"]) > 100


def test_the_description_names_every_route(client: Client) -> None:
    described = client().get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/v1/chat/completions", "/v1/models", "/v1/edits", "/v1/edits/{edit_id}", "/v1/explain", "/healthz", "/metrics",
        "/v1/about", "/v1/examples", "/v1/evidence", "/v1/words", "/v1/map", "/v1/edits/{edit_id}/picture",
    }  # fmt: skip
    for path in described["paths"].values():
        for operation in path.values():
            assert operation["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorBody")


def test_readers_during_a_write_see_all_of_it_or_nothing(client: Client, serve: Any) -> None:
    """Each answer's facts are exactly those of the version it names, while edits are made and undone."""
    service = serve(batch_size=4)
    http = client(service)
    facts_of: dict[int, list[str]] = {0: []}
    done = threading.Event()
    seen: list[tuple[int, list[str]]] = []
    errors: list[str] = []

    def read() -> None:
        while not done.is_set():
            answer = http.post("/v1/chat/completions", json=chat_body(1, max_tokens=1))
            if answer.status_code != 200:
                errors.append(answer.text)
                return
            about = answer.json()["rv_edit"]
            seen.append((about["version"], about["facts"]))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for turn in range(6):
        made = http.post("/v1/edits", json=edit_body(1, ("red", "blue")[turn % 2])).json()
        told = http.post(
            "/v1/explain", json={"image": edit_body(1)["image"], "question": "What colour is lamp 1?"}
        ).json()
        assert told["version"] == made["version"]
        facts_of[made["version"]] = told["facts"]
        if turn % 2:
            gone = http.delete(f"/v1/edits/{made['id']}").json()
            first = http.get("/v1/edits").json()["data"][0]["id"]
            facts_of[gone["version"]] = facts_of[made["version"] - 1]
            again = http.delete(f"/v1/edits/{first}").json()
            facts_of[again["version"]] = []
    done.set()
    for reader in readers:
        reader.join(60)
    assert not errors and len(seen) > 5
    wrong = [(version, facts) for version, facts in seen if facts != facts_of[version]]
    assert not wrong, wrong[:3]
    assert len({version for version, _ in seen}) > 1, "no reader read while something changed"
