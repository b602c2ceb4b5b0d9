"""The page: everything on it, nothing that a hostile record put there, no network."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from data_modules.records import ImageRef
from rv_edit.report import Gallery, RunResult, Skipped
from tests.report.synthetic import HOSTILE, make_edit, make_run


class Page(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.within = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.within = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self.within = "" if tag in ("script", "style") else self.within

    def handle_data(self, data: str) -> None:
        self.text += "" if self.within else data

    def all(self, tag: str, kind: str = "") -> list[dict[str, str | None]]:
        found = [attrs for name, attrs in self.elements if name == tag]
        return [attrs for attrs in found if not kind or kind in (attrs.get("class") or "").split()]


def page_of(result: RunResult, gallery: Gallery | None = None) -> tuple[Page, str]:
    stream = io.StringIO()
    (gallery or Gallery()).write(result, stream)
    return Page(stream.getvalue()), stream.getvalue()


def cards(page: Page) -> list[dict[str, str | None]]:
    return page.all("article", "edit")


def test_everything_about_an_edit(run: RunResult) -> None:
    page, _ = page_of(run)
    assert len(cards(page)) == 12
    assert [card["data-right"] for card in cards(page)] == ["no" if place % 5 == 0 else "yes" for place in range(12)]
    text = " ".join(page.text.split())
    edit = run.edits[4]
    for words in (edit.question, *edit.choices, *edit.reasoning, "supersedes pick-0000", "T-Gen", "CoE-Gen", "R-Gen"):
        assert words in text
    own = next(answer for question, answer in run.after if question.id == edit.id and question.suite == "acc")
    assert len(own.distances) == 2 * len(own.facts) > 0
    for fact, distance in zip(own.facts, own.fact_distances, strict=True):
        assert f"{fact} distance {distance:.3f}" in text
    assert "Unrelated questions now answered wrong: 2" in text


def test_crops_lie_on_the_picture_and_bear_their_fact() -> None:
    result = make_run(1, size=(120, 90))
    page, source = page_of(result)
    assert page.all("svg")[0]["viewbox"] == "0 0 120 90"
    boxes = [tuple(float(box[name] or 0) for name in ("x", "y", "width", "height")) for box in page.all("rect", "line")]
    wanted = [box for fact in sorted(result.receipts[0].evidence) for box in result.receipts[0].evidence[fact]]
    assert len(boxes) == len(wanted)
    for (x, y, width, height), (left, top, right, bottom) in zip(boxes, wanted, strict=True):
        assert (x, y, x + width, y + height) == pytest.approx((left, top, right, bottom), abs=2.5)
    assert re.findall(r">(F\d)</text>", source) == ["F1", "F2"]


def test_hostile_text_stays_text(run: RunResult) -> None:
    plain, _ = page_of(make_run(1))
    edit = replace(
        make_edit(0),
        id=HOSTILE,
        question=HOSTILE,
        choices=(HOSTILE, HOSTILE + "2"),
        answer=HOSTILE,
        reasoning=(HOSTILE,) * 3,
    )
    hostile = make_run(1)
    questions = [
        (replace(question, text=HOSTILE, choices=(HOSTILE,) * 4, edit_id=question.edit_id and HOSTILE), answer)
        for question, answer in hostile.after
    ]
    answers = [(question, replace(answer, facts=(HOSTILE,), fact_distances=(0.5,))) for question, answer in questions]
    result = replace(
        hostile,
        edits=[edit],
        receipts=[replace(hostile.receipts[0], edit_id=HOSTILE, notes=(HOSTILE,), superseded=HOSTILE)],
        before=answers,
        after=[
            (replace(question, id=HOSTILE) if question.suite == "acc" else question, one) for question, one in answers
        ],
        skipped=[Skipped(HOSTILE, HOSTILE)],
        config={"editor": {"name": HOSTILE}, "dataset": HOSTILE},
    )
    page, source = page_of(result)
    assert len(page.all("script")) == len(plain.all("script")) == 1
    assert len(page.all("img")) == 1
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert "{{ 7*7 }}" in page.text
    assert "<script>alert(1)" in page.text
    assert "\x00" not in source
    assert "\x1b" not in source
    source.encode("utf-8")


def test_no_network(run: RunResult) -> None:
    page, source = page_of(run)
    for _, attrs in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:image/", "#")), value
    assert "default-src 'none'" in source
    assert not re.search(r"url\(|@import|https?://", source)


def test_limit_keeps_what_went_wrong() -> None:
    result = make_run(30)
    page, _ = page_of(result, Gallery(limit=10))
    assert len(cards(page)) == 10
    assert sum(card["data-clean"] == "no" for card in cards(page)) == 5
    assert "10 of 30 edits are shown" in page.text
    numbers = [int((card["id"] or "").removeprefix("edit-")) for card in cards(page)]
    assert numbers == sorted(numbers)


def test_a_limit_beyond_the_edits_shows_all(run: RunResult) -> None:
    assert Gallery(limit=100).chosen(run) == list(range(12))
    assert Gallery(limit=0).chosen(run) == []


def test_a_picture_that_cannot_be_decoded(run: RunResult) -> None:
    broken = replace(run.edits[0], image=ImageRef.from_bytes(b"not a picture"))
    page, _ = page_of(replace(run, edits=[broken, *run.edits[1:]]))
    assert "The picture could not be decoded." in page.text
    assert len(page.all("img")) == 11


def test_large_pictures_become_small() -> None:
    _, source = page_of(make_run(1, size=(3000, 2000)))
    assert len(source) < 200_000
    assert 'viewBox="0 0 3000 2000"' in source


def test_an_unedited_run_and_an_empty_one(run: RunResult) -> None:
    after = [
        (question, replace(answer, accepted=None, facts=(), distances=(), fact_distances=()))
        for question, answer in run.before
    ]
    page, _ = page_of(replace(run, receipts=(), after=after, codebook={}))
    assert "Nothing was looked up." in page.text
    page, _ = page_of(replace(run, edits=(), receipts=(), before=(), after=(), codebook={}))
    assert not cards(page)


def test_ten_thousand_characters_of_reasoning(tmp_path: Path) -> None:
    result = make_run(1)
    edit = replace(result.edits[0], reasoning=("word " * 2000, "🦜 emoji", *("x",) * 10))
    page, _ = page_of(replace(result, edits=[edit]))
    assert "🦜 emoji" in page.text
    assert "F12" in page.text
