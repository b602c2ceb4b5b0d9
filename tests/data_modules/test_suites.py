"""Building of suites: order, labels, and the questions that must not get into one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from data_modules.qa_record import QARecord
from data_modules.records import SUITES, Edit, ImageRef, Question, RecordError
from data_modules.suites import SuiteReport, build_suites


def image(name: str) -> ImageRef:
    return ImageRef(sha=name, path=name)


def record(name: str) -> QARecord:
    return QARecord(name, image(f"img-{name}"), f"What is {name}?", ("cat", "dog"), "dog", ("One.", "Two."))


@dataclass
class Provider:
    """Two questions a suite; ``change`` may spoil them."""

    change: Callable[[Question], Question] = lambda question: question
    chains: list[tuple[int, ...]] = field(default_factory=list)

    def make(self, suite: str, edit: Edit, text: str, where: str | None, target: int = 1) -> list[Question]:
        return [
            self.change(
                Question(
                    f"{edit.id}-{suite}-{k}", image(where + str(k)) if where else edit.image, text,
                    edit.choices, target, suite, edit.id,
                )
            )
            for k in range(2)
        ]  # fmt: skip

    def t_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        return self.make("t_gen", edit, "So what is that?", None)

    def i_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        return self.make("i_gen", edit, edit.question, "i")

    def r_gen(self, edit: Edit, record: QARecord) -> list[Question]:
        return self.make("r_gen", edit, "Is one two?", "r", 0)

    def coe_gen(self, edit: Edit, record: QARecord, error_chain: tuple[int, ...]) -> list[Question]:
        self.chains.append(error_chain)
        return self.make("coe_gen", edit, edit.question, "c")

    def contrast(self, edit: Edit, record: QARecord) -> list[Question]:
        return self.make("contrast", edit, edit.question, "x", 0)


RECORDS = {name: record(name) for name in ("a", "b")}
EDITS = [item.as_edit() for item in RECORDS.values()]
LOC = [record("z").as_question()]


def chains(edits: object) -> list[tuple[int, ...]]:
    return [(), (0, 1)]


def test_all_suites_in_stream_order() -> None:
    provider, report = Provider(), SuiteReport()
    suites = build_suites(provider, EDITS, RECORDS, chains, LOC, report=report)
    assert tuple(suites) == SUITES
    assert [question.id for question in suites["t_gen"]] == ["a-t_gen-0", "a-t_gen-1", "b-t_gen-0", "b-t_gen-1"]
    assert [question.edit_id for question in suites["coe_gen"]] == ["b", "b"]
    assert provider.chains == [(0, 1)]
    assert [question.id for question in suites["acc"]] == ["a", "b"]
    assert suites["loc"] == LOC
    assert report.empty["coe_gen"] == 1
    assert report.made["r_gen"] == 4
    assert not +report.dropped
    assert "coe_gen: 2 questions, none for 1 edits" in report.lines()


def test_without_a_provider_or_chains() -> None:
    suites = build_suites(None, EDITS, {}, chains, LOC)
    assert {suite for suite, questions in suites.items() if questions} == {"acc", "loc"}
    assert not build_suites(Provider(), EDITS, RECORDS, None)["coe_gen"]


def test_contrast_keeps_what_the_model_got_right() -> None:
    report = SuiteReport()
    suites = build_suites(
        Provider(), EDITS, RECORDS, chains, report=report,
        was_right=lambda questions: [question.id.endswith("0") for question in questions],
    )  # fmt: skip
    assert [question.id for question in suites["contrast"]] == ["a-contrast-0", "b-contrast-0"]
    assert report.dropped["contrast", "the unedited model was wrong already"] == 2
    assert report.made["contrast"] == 2


@pytest.mark.parametrize(
    ("suite", "spoilt"),
    [
        ("r_gen", {"text": "what is A ?"}),  # the edited question, but for case and punctuation
        ("t_gen", {"text": "What is  a?"}),
        ("t_gen", {"image": image("other")}),
        ("t_gen", {"target": 0}),
        ("i_gen", {"image": image("img-a")}),
        ("i_gen", {"text": "What is b?"}),
        ("coe_gen", {"target": 0}),
        ("contrast", {"target": 1}),
        ("contrast", {"image": image("img-a")}),
        ("contrast", {"text": "Else?"}),
        ("r_gen", {"target": 2}),
        ("r_gen", {"choices": ("cat", "cat")}),
    ],
)
def test_what_tests_nothing_is_dropped_and_counted(suite: str, spoilt: dict[str, object]) -> None:
    def spoil(question: Question) -> Question:
        return replace(question, **spoilt) if question.id == f"a-{suite}-0" else question  # type: ignore[arg-type]

    report = SuiteReport()
    suites = build_suites(Provider(spoil), EDITS, RECORDS, lambda edits: [(0,), (0,)], report=report)
    assert f"a-{suite}-0" not in {question.id for question in suites[suite]}
    assert {name: len(questions) for name, questions in suites.items()} == {
        name: {"acc": 2, "loc": 0}.get(name, 4) - (name == suite) for name in SUITES
    }
    ((place, _),) = +report.dropped
    assert place == suite
    assert "1 dropped" in report.lines()[-1]


@pytest.mark.parametrize("wrong", [{"suite": "i_gen"}, {"edit_id": "b"}, {"id": "a-t_gen-1"}])
def test_a_provider_that_mislabels_is_told(wrong: dict[str, str]) -> None:
    def mislabel(question: Question) -> Question:
        return replace(question, **wrong) if question.id == "a-t_gen-0" else question  # type: ignore[arg-type]

    with pytest.raises(RecordError):
        build_suites(Provider(mislabel), EDITS, RECORDS, chains)


def test_an_edit_without_its_record() -> None:
    with pytest.raises(RecordError, match="edit b: its record"):
        build_suites(Provider(), EDITS, {"a": RECORDS["a"]}, chains)
