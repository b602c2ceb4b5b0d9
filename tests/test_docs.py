"""The snippets of python_api.md and service.md run, in the order in which a reader meets them; see ``tests/docs``."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rv_edit import EditedVLM
from rv_edit.app.keys import Keys
from rv_edit.app.server import create_app
from rv_edit.app.service import Service
from rv_edit.composing import compose_parts
from tests.app.conftest import listen, loaded, serve, settings, tiny
from tests.source_tree import ROOT

__all__ = ["listen", "loaded", "serve", "tiny"]


def snippets(page: str) -> list[str]:
    """The Python blocks of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(page: str, names: dict[str, Any]) -> dict[str, Any]:
    for number, code in enumerate(snippets(page), 1):
        exec(compile(code, f"docs/{page}, snippet {number}", "exec"), names)
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
    from rv_edit.pocket.dataset import load

    wrong = next(
        one
        for one in load("aokvqa", questions=40).records
        if str(shipped.ask(one.image, one.question, one.choices)) != one.answer
    )
    chosen = settings(tmp_path / "data")
    service = Service(EditedVLM(shipped.state, shipped.base), chosen, Keys({}))
    picture = "data:image/png;base64," + base64.b64encode(Path(wrong.image.path or "").read_bytes()).decode()
    names = run(
        "service.md",
        {
            "address": listen(app=create_app(service)),
            "model": service.name,
            "picture": picture,
            "question": wrong.question,
            "choices": list(wrong.choices),
            "answer_of_a_person": wrong.answer,
            "facts": list(wrong.reasoning),
        },
    )
    assert names["told"]["accepted"] and set(wrong.reasoning) & set(names["told"]["facts"])
    assert service.vlm.edits == ()
