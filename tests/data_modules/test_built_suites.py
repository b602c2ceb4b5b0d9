"""A suites folder as a provider: only what was made for exactly this edit is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data_modules.built_suites import BuiltSuites, provider_for
from data_modules.qa_record import QARecord
from data_modules.records import ImageRef, Question, RecordError
from data_modules.suites import build_suites

IMAGE = ImageRef.from_pil(Image.new("RGB", (4, 4), "red"))
RECORD = QARecord("q1", IMAGE, "What is it?", ("cat", "dog"), "cat", ("One.", "Two."))
EDIT = RECORD.as_edit()


def dump(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Suites of one edit, with a chain of fact 1."""
    place = tmp_path / "suites"
    (place / "images").mkdir(parents=True)
    pictures = []
    for number in range(4):
        path = place / f"images/{number}.png"
        Image.new("RGB", (4, 4), (0, 0, 50 * number)).save(path)
        ref = ImageRef.from_path(path)
        pictures.append({"file": f"images/{number}.png", "sha": ref.sha, "bytes": path.stat().st_size})
    row = {
        "id": "q1", "image_sha": IMAGE.sha, "question": EDIT.question, "choices": list(EDIT.choices),
        "answer": "cat", "facts": list(EDIT.reasoning), "chains": {"m": [1]}, "dropped": {},
    }  # fmt: skip
    asked = {"edit_id": "q1", "choices": ["cat", "dog"], "target": 0}
    items = [
        {**asked, "suite": "t_gen", "id": "q1/t0", "question": "Say what it is?", "image": None},
        {**asked, "suite": "i_gen", "id": "q1/i-a-0", "question": EDIT.question, "image": pictures[0]},
        {**asked, "suite": "r_gen", "id": "q1/r1", "question": "Is it two?", "image": pictures[1],
         "choices": ["no", "yes"], "target": 1, "facts": [1]},
        {**asked, "suite": "coe_gen", "id": "q1/c1-0", "question": EDIT.question, "image": pictures[2], "chain": [1]},
        {**asked, "suite": "coe_gen", "id": "q1/c01-0", "question": EDIT.question, "image": pictures[3],
         "chain": [0, 1]},
    ]  # fmt: skip
    (place / "suites.json").write_text(json.dumps({"schema": 1}))
    dump(place / "edits.jsonl", [row])
    dump(place / "items.jsonl", items)
    return place


def test_everything_made_for_an_edit_is_asked(folder: Path) -> None:
    provider = BuiltSuites(folder)
    suites = build_suites(provider, [EDIT], {"q1": RECORD}, lambda edits: [(1,)])
    assert {suite: [one.id for one in questions] for suite, questions in suites.items()} == {
        "acc": ["q1"], "loc": [], "t_gen": ["q1/t0"], "i_gen": ["q1/i-a-0"], "r_gen": ["q1/r1"],
        "coe_gen": ["q1/c1-0"], "contrast": [],
    }  # fmt: skip
    assert suites["t_gen"][0].image == IMAGE
    shown = suites["i_gen"][0].image
    assert shown.open().getpixel((0, 0)) == (0, 0, 0) and ImageRef.from_path(shown.path or "").sha == shown.sha


@pytest.mark.parametrize(("chain", "found"), [((1,), ["q1/c1-0"]), ((0, 1), ["q1/c01-0"]), ((0,), []), ((), [])])
def test_pictures_belong_to_one_chain(folder: Path, chain: tuple[int, ...], found: list[str]) -> None:
    assert [question.id for question in BuiltSuites(folder).coe_gen(EDIT, RECORD, chain)] == found


def test_an_edit_that_nothing_was_made_for_has_no_questions(folder: Path) -> None:
    provider, other = BuiltSuites(folder), replace(EDIT, id="q2")
    assert provider.t_gen(other, RECORD) == provider.r_gen(other, RECORD) == provider.coe_gen(other, RECORD, (1,)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"question": "What is that?"},
        {"image": ImageRef.from_pil(Image.new("RGB", (4, 4), "blue"))},
        {"choices": ("cat", "cow")},
        {"answer": "dog"},
        {"reasoning": ("One.",)},
    ],
)
def test_another_version_of_the_record_is_refused(folder: Path, change: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="another version of record q1") as caught:
        BuiltSuites(folder).i_gen(replace(EDIT, **change), RECORD)
    assert "\n" not in str(caught.value)


def test_contrast_stays_with_the_data_set(folder: Path) -> None:
    class Own:
        def contrast(self, edit: Any, record: Any) -> list[Question]:
            return [Question("x", IMAGE, "?", ("a", "b"), 0, "contrast", edit.id)]

    assert [one.id for one in BuiltSuites(folder, Own()).contrast(EDIT, RECORD)] == ["x"]  # type: ignore[arg-type]
    own = Own()
    assert provider_for(None, own) is own and provider_for(None, None) is None
    assert isinstance(provider_for(folder, None), BuiltSuites)


def lines(folder: Path, name: str, change: Callable[[str], str]) -> None:
    (folder / name).write_text(change((folder / name).read_text()))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shutil.rmtree, "no such folder; python run.py task=build_suites"),
        (lambda folder: (folder / "suites.json").unlink(), "not finished"),
        (lambda folder: (folder / "suites.json").write_text("{"), "cannot be read as JSON"),
        (lambda folder: (folder / "suites.json").write_text("[]"), "a JSON object is expected"),
        (lambda folder: (folder / "suites.json").write_text('{"schema": 2}'), "version 2, this program reads 1"),
        (lambda folder: (folder / "edits.jsonl").unlink(), "edits.jsonl: cannot be read"),
        (lambda folder: (folder / "images/1.png").unlink(), "images/1.png: missing or changed"),
        (lambda folder: (folder / "images/1.png").write_bytes(b"x"), "images/1.png: missing or changed"),
        (lambda folder: lines(folder, "items.jsonl", lambda text: text[:-20]), "line 5: not valid JSON"),
        (lambda folder: lines(folder, "items.jsonl", lambda text: "3\n" + text), "line 1: a JSON object"),
        (lambda folder: lines(folder, "items.jsonl", lambda text: "{}\n" + text), "line 1: not an item"),
        (
            lambda folder: lines(folder, "items.jsonl", lambda t: t.replace('"target": 0', '"target": "0"')),
            "not an item",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line(folder: Path, spoil: Callable[[Path], Any], said: str) -> None:
    spoil(folder)
    with pytest.raises(RecordError, match=said) as caught:
        BuiltSuites(folder)
    assert "\n" not in str(caught.value)
