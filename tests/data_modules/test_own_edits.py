"""Edits of one's own: lines and tables, the schema, the way out and back in."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image

from data_modules.own_csv import read_csv, write_csv
from data_modules.own_edits import SCHEMA, evidence_of, load_own, read_own
from data_modules.own_export import export
from data_modules.qa_record import QARecord, ReadReport
from data_modules.records import ImageRef, RecordError

Row = dict[str, Any]


def line(name: str = "one", **changes: Any) -> Row:
    return {
        "id": name, "image": "photos/a.jpg", "question": "What is it?", "choices": ["cat", "dog"], "answer": "Dog",
        "reasoning": ["It barks.", "Dogs bark."], "evidence": {"1": [[0, 1, 4.5, 5]]}, "author": "me",
    } | changes  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two pictures and no edits yet."""
    for place, name in enumerate(["photos/a.jpg", "b.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), (place, 50, 9)).save(tmp_path / name)
    return tmp_path


def write(folder: Path, *lines: Row | str) -> Path:
    texts = [text if isinstance(text, str) else json.dumps(text) for text in lines]
    (folder / "edits.jsonl").write_text("\n".join(texts) + "\n")
    return folder


def test_a_line_field_by_field(folder: Path) -> None:
    report = ReadReport()
    (record,) = read_own(write(folder, line(), ""), check_images=True, report=report)
    assert (record.id, record.question, record.choices, record.answer) == ("one", "What is it?", ("cat", "dog"), "dog")
    assert record.reasoning == ("It barks.", "Dogs bark.")
    assert record.evidence == {1: ((0.0, 1.0, 4.5, 5.0),)}
    assert record.as_edit().evidence == record.evidence
    assert record.extras == {"author": "me"}
    assert record.image.open().size == (8, 6)
    assert (report.listed, report.pictures, report.counts["with_evidence"]) == (1, 1, 1)
    (plain,) = read_own(write(folder, {key: line()[key] for key in ("id", "image", "question", "choices", "answer")}))
    assert (plain.reasoning, plain.evidence) == ((), {})


BAD: list[tuple[Row | str, str]] = [
    ("{broken", "not valid JSON"),
    ("[1]", "not a JSON object"),
    (line("one"), "duplicate id"),
    (line(""), "'id'"),
    (line(id=5), "'id'"),
    (line("x", image=""), "'image'"),
    (line("x", image="c.jpg"), "is missing"),
    (line("x", image="../secret.jpg"), "does not lie in"),
    (line("x", image="/etc/passwd"), "does not lie in"),
    (line("x", question=None), "'question'"),
    (line("x", choices=["dog"]), "1 distinct choice"),
    (line("x", choices="dog"), "1 distinct choice"),
    (line("x", choices={"a": 1}), "'choices'"),
    (line("x", answer="cow"), "not among the choices"),
    (line("x", reasoning=[1]), "'reasoning'"),
    (line("x", reasoning=["It barks.", " "]), "empty sentence"),
    (line("x", evidence=[]), "mapping"),
    (line("x", evidence={"2": [[0, 0, 1, 1]]}), "there are 2 facts"),
    (line("x", evidence={"-1": [[0, 0, 1, 1]]}), "there are 2 facts"),
    (line("x", evidence={"a": [[0, 0, 1, 1]]}), "there are 2 facts"),
    (line("x", evidence={"0": []}), "not a list of crops"),
    (line("x", evidence={"0": [[0, 0, 1]]}), "left, top, right, bottom"),
    (line("x", evidence={"0": [[0, 0, True, 1]]}), "left, top, right, bottom"),
    (line("x", evidence={"0": [[2, 0, 1, 1]]}), "no area"),
    (line("x", evidence={"0": [[-1, 0, 1, 1]]}), "no area"),
    (line("x", evidence={"0": [[1, 0, 1, 1]]}), "no area"),
    (line("x", evidence={"0": [[0, 1, 1, 1]]}), "no area"),
    (line("x", evidence={"0": [[0, -1, 1, 1]]}), "no area"),
]


@pytest.mark.parametrize(("bad", "said"), BAD)
def test_bad_lines_are_skipped_and_listed(folder: Path, bad: Row | str, said: str) -> None:
    report = ReadReport()
    records = read_own(write(folder, line(), bad, line("last", image="b.png")), report=report)
    assert [record.id for record in records] == ["one", "last"]
    ((name, reason),) = report.skipped
    assert said in reason
    assert "\n" not in reason
    assert name in ("one", "x", "line 2")


def test_what_the_schema_allows_is_what_is_read(folder: Path) -> None:
    """``jsonschema`` is the reference for all that a schema can say; the rest the reader adds, and only it."""
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))
    assert not list(validator.iter_errors(line()))
    beyond = (
        "duplicate id",
        "is missing",
        "does not lie in",
        "not among",
        "there are 2 facts",
        "no area",
        "empty sent",
    )
    for bad, said in BAD:
        if isinstance(bad, str):
            continue
        refused = bool(list(validator.iter_errors(bad)))
        assert refused or any(part in said for part in beyond), (bad, said)
    for changes in ({"choices": ["a", "A", "dog"]}, {"evidence": {}}, {"reasoning": []}, {"more": {"x": 1}}):
        good = line(**({"evidence": {}} | changes))
        assert not list(validator.iter_errors(good))
        assert len(read_own(write(folder, good))) == 1


def test_files_that_are_none(folder: Path) -> None:
    with pytest.raises(RecordError, match=r"edits\.jsonl, .*edits\.csv"):
        read_own(folder)
    for text, said in [("", "an empty file"), ("<html>", "a web page"), ("{", "none of 1 records")]:
        (folder / "edits.jsonl").write_text(text)
        with pytest.raises(RecordError, match=said) as caught:
            read_own(folder)
        assert "\n" not in str(caught.value)
    (folder / "edits.csv").write_text("id\n")
    with pytest.raises(RecordError, match="both there"):
        read_own(folder)
    with pytest.raises(RecordError, match=r"dataset\.root"):
        load_own(None)


HEAD = "id,image,question,answer,choice_1,choice_2,reason_1,reason_2,evidence"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_as_spreadsheets_write_it(folder: Path, delimiter: str, mark: str) -> None:
    stream = io.StringIO()
    rows = [
        HEAD.split(","),
        ["one", "b.png", 'Is "it", a; cat?', "no", "yes", "no", "First;\nso.", "", '{"0": [[0, 0, 3, 3]]}'],
    ]
    csv.writer(stream, delimiter=delimiter, lineterminator="\r\n").writerows([*rows, [""] * 9])
    (folder / "edits.csv").write_bytes((mark + stream.getvalue()).encode())
    (record,) = read_own(folder)
    assert (record.question, record.choices, record.answer) == ('Is "it", a; cat?', ("yes", "no"), "no")
    assert record.reasoning == ("First; so.",)
    assert record.evidence == {0: ((0.0, 0.0, 3.0, 3.0),)}


def test_a_table_with_empty_cells_beyond_its_columns(folder: Path) -> None:
    head = "id;image;question;answer;choice_1;choice_2\n"
    (folder / "edits.csv").write_text(head + "a;b.png;Q?;cat;cat;dog; ;\nb;b.png;Q?;cat;cat;dog;;x\n")
    report = ReadReport()
    assert [record.id for record in read_own(folder, report=report)] == ["a"]
    assert report.skipped == [("b", "more cells than there are columns")]


def test_what_is_no_file_is_not_waited_for(folder: Path) -> None:
    """A pipe that nobody writes to, a device without an end, a folder, a link to nowhere."""
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "folder.png").mkdir()
    (folder / "lost.png").symlink_to("/nowhere/x.png")
    (folder / "link.png").symlink_to(folder / "b.png")
    names = ["pipe.png", "zero.png", "folder.png", "lost.png", "link.png"]
    write(folder, *(line(name, image=name) for name in names))
    report, found = ReadReport(), []
    reading = threading.Thread(target=lambda: found.extend(read_own(folder, report=report)), daemon=True)
    reading.start()
    reading.join(timeout=60)
    assert [record.id for record in found] == ["link.png"]
    assert [reason.rpartition(" ")[2] for _, reason in report.skipped] == ["missing"] * 4


def test_names_in_another_spelling(folder: Path) -> None:
    """Systems write accents as one sign or as two, and archives carry either to the other."""
    (folder / "b.png").rename(folder / "photos" / unicodedata.normalize("NFD", "Café.PNG"))
    (record,) = read_own(write(folder, line(image=unicodedata.normalize("NFC", "photos/café.png"))))
    assert record.image.open().size == (8, 6)


def test_bad_tables(folder: Path) -> None:
    good = "one,b.png,What?,a,a,b,Why.,,"
    for text, said in [
        ("id,image\n", "no column question, answer, choice_1, choice_2"),
        (HEAD + ",id\n" + good, "column id is there twice"),
        ("\xff", "no column"),
        (HEAD + '\none,"b.png\n', "is not CSV"),
    ]:
        (folder / "edits.csv").write_text(text)
        with pytest.raises(RecordError, match=said) as caught:
            read_own(folder)
        assert "\n" not in str(caught.value)
    (folder / "edits.csv").write_bytes(HEAD.encode() + b"\none,b.png,\xff")
    with pytest.raises(RecordError, match="not UTF-8"):
        read_own(folder)
    report = ReadReport()
    bad = ["two,b.png,What?,a,a,b,,,,,more", "three,b.png,What?,a,a,b,Why.,,{", "four,b.png,What?,a,a", good]
    (folder / "edits.csv").write_text("\n".join([HEAD, good, *bad]))
    assert [record.id for record in read_own(folder, report=report)] == ["one"]
    assert [name for name, _ in report.skipped] == ["two", "three", "four", "one"]
    assert [
        next(part for part in ("more cells", "not valid JSON", "1 distinct", "duplicate") if part in reason)
        for _, reason in report.skipped
    ] == ["more cells", "not valid JSON", "1 distinct", "duplicate"]


words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
edits = st.fixed_dictionaries(
    {
        "id": words, "image": words, "question": words, "answer": words,
        "choices": st.lists(words, min_size=2, max_size=5), "reasoning": st.lists(words, max_size=4),
    }
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(edits, max_size=4))
def test_a_table_says_what_the_lines_say(tmp_path: Path, listed: list[Row]) -> None:
    (tmp_path / "t.csv").write_text(write_csv(listed), encoding="utf-8")
    assert [raw for _, raw in read_csv(tmp_path / "t.csv")] == listed if listed else True


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_out_and_back_in(folder: Path, tmp_path: Path, kind: str) -> None:
    records = read_own(
        write(folder, line(), line("two", image="b.png", evidence={}), line("three", reasoning=[], evidence={}))
    )
    as_bytes = QARecord(
        "bytes", ImageRef.from_bytes((folder / "b.png").read_bytes()), "Q?", ("a", 'b|;"c'), "a", ("R.",)
    )
    file = export([*records, as_bytes], tmp_path / "new" / "out", kind)
    assert file == tmp_path / "new" / "out" / f"edits.{kind}"
    again = read_own(file.parent, check_images=True)
    for one, other in zip([*records, as_bytes], again, strict=True):
        assert (one.id, one.image.sha, one.question, one.choices, one.answer, one.reasoning, one.evidence) == (
            other.id, other.image.sha, other.question, other.choices, other.answer, other.reasoning, other.evidence,
        )  # fmt: skip
    assert len(list((file.parent / "images").iterdir())) == 2
    with pytest.raises(RecordError, match="holds something already"):
        export(records, file.parent, kind)
    with pytest.raises(RecordError, match="jsonl, csv"):
        export(records, tmp_path / "x", "xls")


def test_a_full_disk_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = read_own(write(folder, line(), line("two", image="b.png")))

    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RecordError, match="No space left on device") as caught:
        export(records, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("evidence", [{"0": [[0, 0, 10**400, 5]]}, {"9" * 5000: [[0, 0, 5, 5]]}], ids=["side", "place"])
def test_numbers_that_no_float_holds_are_refused(evidence: dict[str, list[list[int]]]) -> None:
    with pytest.raises(RecordError, match="evidence"):
        evidence_of(evidence, 1)
