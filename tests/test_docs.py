"""The snippets of python_api.md and service.md run, in the order in which a reader meets them; see ``tests/docs``."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rv_edit import EditedVLM
from rv_edit.app.examples import place_of_examples, read_examples
from rv_edit.app.keys import Keys
from rv_edit.app.server import create_app
from rv_edit.app.service import Service
from rv_edit.composing import compose_parts
from tests.app.conftest import listen, loaded, serve, settings, tiny
from tests.source_tree import ROOT

__all__ = ["listen", "loaded", "serve", "tiny"]


ADDRESS = "http://127.0.0.1:8000"


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def snippets(page: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)


def run(page: str, names: dict[str, Any], address: str = ADDRESS) -> dict[str, Any]:
    for number, code in enumerate(snippets(page), 1):
        exec(compile(code.replace(ADDRESS, address), f"docs/{page}, snippet {number}", "exec"), names)
    return names


@pytest.fixture(scope="module")
def shipped() -> EditedVLM:
    """The model that the package brings, by the name that the options give it."""
    return EditedVLM.from_pretrained(compose_parts([], ("model",))["model"]["name"])


def test_python_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(snippets("python_api.md")) >= 8
    names = run("python_api.md", {})
    said = capsys.readouterr().out
    wrong, vlm, again = names["wrong"], names["vlm"], names["again"]
    assert said.splitlines()[0] == wrong.answer, "an edit that does not correct the answer"
    assert "Accepted" in said and "in force" in said and "This was seen on a bright day." in said
    assert again.state.editor.checksum() == vlm.state.editor.checksum()
    assert {made.reasoning for made in vlm.edits} == {wrong.reasoning}


def test_service(shipped: EditedVLM, listen: Callable[..., str], tmp_path: Path) -> None:
    service = Service(
        EditedVLM(shipped.state, shipped.base),
        settings(tmp_path / "data"),
        Keys({}),
        read_examples(place_of_examples(None, compose_parts([], ("model",))["model"]["name"])),
    )
    address = listen(app=create_app(service))
    names = run("service.md", {}, address)
    assert names["told"]["accepted"] and set(names["example"]["reasoning"]) & set(names["told"]["facts"])
    assert service.vlm.edits == ()
    shutil.copy(ROOT / "rv_edit/pocket/examples/images" / "4b41c7cd584db3d31265.png", tmp_path / "photo.png")
    (shell,) = re.findall(r"^```sh\n(curl .*?)^```$", text_of("service.md"), re.DOTALL | re.MULTILINE)
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    said = subprocess.run(
        ["bash", "-ec", shell.replace(ADDRESS, address)], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert '"total":0' in said.replace(" ", "") and "no edit is in force" in said
