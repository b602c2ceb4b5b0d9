"""What the page is served with: its files, examples, evidence, words, the map, pictures of edits; and who gets what."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rv_edit.app.examples import place_of_examples, read_examples
from rv_edit.app.static_files import FOLDER
from rv_edit.composing import compose_parts
from rv_edit.errors import ConfigError
from tests.app.conftest import data_url, edit_body, settings
from tests.editors.conftest import picture

Client = Callable[..., TestClient]


def linked(text: str) -> set[str]:
    return set(re.findall(r'(?:src|href)="(/page/[^"]+)"', text)) | {
        f"/page/{name}" for name in re.findall(r'from "\./([\w.]+)"', text)
    }


def test_the_page_is_whole_and_its_own(client: Client) -> None:
    """Every file that the page names is there, and none is of another network."""
    http = client()
    todo, seen = {"/"}, set()
    while todo:
        path = todo.pop()
        answer = http.get(path)
        assert answer.status_code == 200, path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", answer.text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path
        seen.add(path)
        todo |= linked(answer.text) - seen
    assert seen == {"/"} | {f"/page/{path.name}" for path in FOLDER.iterdir() if path.name != "index.html"}


@pytest.mark.parametrize("name", ["nothing.js", "..%2fserver.py", "../server.py", "%2e%2e/server.py", "index.html/x"])
def test_no_other_file_is_served(client: Client, name: str) -> None:
    answer = client().get(f"/page/{name}")
    assert answer.status_code == 404 and "import" not in answer.text


def test_scripts_never_make_markup_of_text() -> None:
    for path in FOLDER.glob("*.js"):
        text = path.read_text()
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
        ):
            assert word not in text, f"{path.name}: {word}"
        assert text.count("\n") <= 200, path.name


def test_with_keys_the_page_comes_without_and_nothing_else_does(client: Client, tmp_path: Path) -> None:
    http = client(host="0.0.0.0")
    key = (tmp_path / "data" / "api_keys").read_text().split()[1]
    for path in ("/", "/page/main.js", "/page/page.css"):
        assert http.get(path, headers={"Host": "lab.example"}).status_code == 200
    for method, path in (
        ("GET", "/v1/about"), ("GET", "/v1/examples"), ("POST", "/v1/map"), ("POST", "/v1/words"),
        ("POST", "/v1/evidence"), ("GET", "/v1/edits/a/picture"), ("GET", "//v1/edits"), ("GET", "/page"),
    ):  # fmt: skip
        assert http.request(method, path).status_code == 401, path
    told = http.get("/v1/about", headers={"Authorization": f"Bearer {key}"}).json()
    assert told["owner"] == "owner" and told["model"] == "tiny" and not told["upstream"]


def test_without_keys_pages_of_other_names_are_kept_out(client: Client) -> None:
    http = client()
    for path in ("/", "/page/main.js", "/v1/examples", "/v1/edits/a/picture"):
        assert http.get(path, headers={"Host": "evil.example"}).status_code == 403


def test_about(client: Client) -> None:
    http = client(image_bytes=12345, frames="Tell me: {question}")
    told = http.get("/v1/about").json()
    assert told["limits"]["image_bytes"] == 12345 and told["formats"][0] == "PNG" and told["edits"] == 0
    assert told["frames"] == ["Tell me: {question}"] and told["owner"] == ""


def test_pictures_of_edits_come_back_as_they_were_sent(client: Client) -> None:
    http = client()
    made = http.post("/v1/edits", json=edit_body(3)).json()
    answer = http.get(f"/v1/edits/{made['id']}/picture")
    assert answer.content == picture(3).data and answer.headers["content-type"] == "image/png"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert http.get("/v1/edits/nothing/picture").json()["error"]["code"] == "edit_not_found"
    http.delete(f"/v1/edits/{made['id']}")
    assert http.get(f"/v1/edits/{made['id']}/picture").status_code == 404


def test_evidence_is_what_an_edit_would_find(client: Client) -> None:
    http = client()
    body = edit_body(2)
    facts = body["reasoning"]
    told = http.post("/v1/evidence", json={"image": body["image"], "reasoning": facts}).json()
    assert (told["width"], told["height"]) == picture(2).open().size
    assert [one["fact"] for one in told["facts"]] == facts
    found = {str(at): [crop["box"] for crop in one["crops"]] for at, one in enumerate(told["facts"]) if one["crops"]}
    made = http.post("/v1/edits", json={**body, "evidence": {}}).json()
    assert made["evidence"] == found, "the page shows what is stored"
    confirmed = http.post("/v1/edits", json={**body, "evidence": found, "question": "What is it?"}).json()
    assert confirmed["evidence"] == found
    for one in told["facts"]:
        assert all(0.5 < crop["p_yes"] <= 1 for crop in one["crops"])
    assert http.post("/v1/evidence", json={"image": body["image"], "reasoning": []}).status_code == 422
    assert http.post("/v1/evidence", json={"image": body["image"], "reasoning": [" "]}).status_code == 400


def test_words(client: Client) -> None:
    http = client()
    assert http.post("/v1/words", json={"texts": []}).json() == {"unknown": []}
    told = http.post("/v1/words", json={"texts": ["", "Qzxqzx jumps."]}).json()["unknown"]
    assert "Qzxqzx" in [one["word"] for one in told]
    assert http.post("/v1/words", json={"texts": ["a"] * 1000}).status_code == 413


def test_the_map_shows_every_key_where_it_is(client: Client, serve: Any) -> None:
    service = serve()
    http = client(service)
    empty = http.post("/v1/map", json={}).json()
    assert empty["points"] == [] and empty["asked"] is None and empty["shares"] == [0.0, 0.0]
    for index in range(3):
        http.post("/v1/edits", json=edit_body(index))
    question = {"image": data_url(1), "question": "What colour is lamp 1?"}
    told = http.post("/v1/map", json=question).json()
    book = service.vlm.state.editor.codebook
    assert [point["key"] for point in told["points"]] == list(book.key_ids) and told["left_out"] == 0
    assert [tuple(point["facts"]) for point in told["points"]] == list(book.values)
    answer = next(point for point in told["points"] if point["kinds"][0] == "answer" and "lamp 1" in point["facts"][0])
    apart = [abs(told["asked"][axis] - answer["xy"[axis]]) for axis in (0, 1)]
    assert max(apart) < 0.02, "the edited question lies on its own key"
    assert http.post("/v1/map", json={"question": "What?"}).status_code == 400
    first = http.get("/v1/edits").json()["data"][0]["id"]
    http.delete(f"/v1/edits/{first}")
    after = http.post("/v1/map", json={}).json()
    assert len(after["points"]) < len(told["points"]) and after["version"] == told["version"] + 1
    assert first not in json.dumps(after)


def test_a_large_map_shows_the_newest(client: Client) -> None:
    http = client(map_points=2)
    for index in range(3):
        http.post("/v1/edits", json=edit_body(index))
    told = http.post("/v1/map", json={}).json()
    assert len(told["points"]) == 2 and told["left_out"] > 0 and "lamp 2" in json.dumps(told["points"]).lower()


def test_markup_travels_as_text(client: Client) -> None:
    http = client()
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    http.post("/v1/edits", json={**edit_body(1), "reasoning": [evil], "evidence": {}, "author": "<b>me</b>"})
    for answer in (http.get("/v1/edits"), http.post("/v1/map", json={})):
        assert answer.headers["content-type"] == "application/json" and evil in json.dumps(answer.json())


def test_examples_are_those_of_a_folder(client: Client, serve: Any, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture(1).data or b"")
    line = {"id": "a", "image": "a.png", "question": "What?", "choices": ["red", "blue"], "answer": "red",
            "reasoning": ["It is red."], "rephrasings": ["Say, what?", 5]}  # fmt: skip
    (folder / "edits.jsonl").write_text(json.dumps(line) + "\n")
    service = serve()
    service.examples = read_examples(str(folder))
    (told,) = client(service).get("/v1/examples").json()["data"]
    assert told["rephrasings"] == ["Say, what?"] and told["reasoning"] == ["It is red."]
    assert base64.b64decode(told["image"].partition(",")[2]) == picture(1).data
    assert client(serve("other")).get("/v1/examples").json()["data"] == []
    with pytest.raises(ConfigError, match="examples="):
        read_examples(str(tmp_path))


def test_models_bring_their_own_examples() -> None:
    option = compose_parts([], ("model",))["model"]["name"]
    found = read_examples(place_of_examples(None, option))
    assert len(found) >= 6 and all(len(one.rephrasings) == 2 and one.reasoning for one in found)
    assert all(one.answer in one.choices for one in found)
    assert place_of_examples("mine", option) == "mine" and place_of_examples(None, "auto") is None
    assert place_of_examples(None, "llava") is None and read_examples(None) == ()


def test_frames_need_a_place_for_the_question(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frames="):
        settings(tmp_path, frames=["Tell me"])
