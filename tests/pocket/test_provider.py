"""Suites of the embedded world ask what they claim to ask: held-out words, every subset, scenes with distractors."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from data_modules.bundle import DataBundle
from data_modules.qa_record import QARecord
from data_modules.suites import SuiteReport, build_suites
from rv_edit.pocket import provider as module
from rv_edit.pocket.compose import true_answer
from rv_edit.pocket.dataset import load
from rv_edit.pocket.judge import Remark, Sighting
from rv_edit.pocket.provider import PocketSuites, asked_of, error_scene
from rv_edit.pocket.scene import Scene
from rv_edit.pocket.tables import RELATIONS

NUMBER = 60


@pytest.fixture(scope="module", params=["aokvqa", "fvqa"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DataBundle:
    return load(request.param, tmp_path_factory.mktemp(request.param) / "data", questions=NUMBER)


def fixed_words(forms: tuple[str, ...]) -> list[re.Pattern[str]]:
    """Patterns that a rendered form meets, whatever was filled in."""
    return [re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(form)).lower()) for form in forms]


def test_rephrasings_are_in_wordings_that_no_training_sees(bundle: DataBundle) -> None:
    for record in bundle.records:
        asked = asked_of(record)
        relation = RELATIONS[asked.relation]
        which = asked.query.about == "which"
        held = fixed_words(relation.inverse_held if which else relation.held)
        seen = fixed_words(relation.inverse if which else relation.ask)
        found = PocketSuites().t_gen(record.as_edit(), record)
        assert found
        for question in found:
            text = question.text.lower()
            assert any(form.fullmatch(text) for form in held), text
            assert not any(form.fullmatch(text) for form in seen), text


def subsets(record: QARecord) -> list[tuple[int, ...]]:
    n = len(record.reasoning)
    return [part for size in range(1, n + 1) for part in combinations(range(n), size)]


def test_every_subset_of_facts_has_a_question_on_a_scene_with_distractors(bundle: DataBundle) -> None:
    made: Counter[tuple[int, ...]] = Counter()
    wanted: Counter[tuple[int, ...]] = Counter()
    for record in bundle.records:
        asked, edit = asked_of(record), record.as_edit()
        for facts in subsets(record):
            wanted[facts] += 1
            found = PocketSuites().on_facts(edit, record, facts)
            if found is None:
                continue
            made[facts] += 1
            question, scene = found
            assert len(scene.things) >= 2
            assert question.text != edit.question
            notes = [asked.reasoning[i] for i in facts if isinstance(asked.reasoning[i], Remark)]
            for note in notes:
                assert isinstance(note, Remark) and note.other in {thing.kind for thing in scene.things}
    for facts, number in wanted.items():
        assert made[facts] >= 0.9 * number, (facts, made[facts], number)


def test_no_question_on_facts_is_the_edited_one(bundle: DataBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a subset would lead back to the edited question, nothing is asked."""
    for record in bundle.records:
        asked = asked_of(record)
        for facts in subsets(record):
            item = PocketSuites()._about(asked, [asked.reasoning[i] for i in facts], module.Random("x"))
            assert item is None or item[0] != asked.query
    record = bundle.records[0]
    asked = asked_of(record)
    monkeypatch.setattr(module, "Query", lambda *_: asked.query)
    assert PocketSuites()._about(asked, list(asked.reasoning), module.Random("x")) is None


def test_scenes_of_an_error_chain_show_its_facts(bundle: DataBundle) -> None:
    told, plain = 0, 0
    for record in bundle.records:
        asked = asked_of(record)
        for chain in subsets(record):
            scene = error_scene(asked, chain, module.Random(f"{record.id}/{chain}"))
            if scene is None:
                continue
            assert len(scene.things) >= 2 and true_answer(asked.query, scene) == record.answer
            thing = next(one for one in scene.things if one.kind == asked.thing.kind)
            for fact in (asked.reasoning[i] for i in chain):
                if isinstance(fact, Remark):
                    told += 1
                    assert fact.description.referent(scene) is thing
                    assert any(other.kind == fact.other and other is not thing for other in scene.things)
                if isinstance(fact, Sighting):
                    told += 1
                    looks = [slot for slot in fact.description.slots if slot[0] in ("colour", "texture", "size")]
                    assert all(getattr(thing, name) == value for name, value in looks)
                    assert thing.hidden == asked.thing.hidden
            plain += not any(isinstance(asked.reasoning[i], Sighting) for i in chain) and not thing.hidden
    assert told > NUMBER and plain > NUMBER / 2


def test_a_scene_where_the_answer_is_another_is_not_asked_about(
    bundle: DataBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = bundle.records[0]
    monkeypatch.setattr(module, "true_answer", lambda query, scene: "something else")
    suites = PocketSuites()
    assert suites.coe_gen(record.as_edit(), record, (0,)) == []
    assert suites.lost["coe_gen"] == 3


def test_what_cannot_be_made_is_counted(bundle: DataBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> Scene | None:
        return None

    monkeypatch.setattr(module, "scene_with", nothing)
    records = {record.id: record for record in bundle.records[:5]}
    edits = [record.as_edit() for record in records.values()]
    report = SuiteReport()
    suites = build_suites(PocketSuites(), edits, records, lambda some: [(0,)] * len(some), report=report)
    assert suites["coe_gen"] == suites["r_gen"] == []
    assert report.dropped["coe_gen", "could not be made"] == 15
    assert report.dropped["r_gen", "could not be made"] == sum(len(subsets(one)) for one in records.values())


def test_tuning_and_test_share_neither_facts_nor_scenes(tmp_path: Path, bundle: DataBundle) -> None:
    name = bundle.name.removeprefix("pocket_")
    tune = [asked_of(one) for one in load(name, tmp_path, questions=NUMBER, split="tune").records]
    test = [asked_of(one) for one in bundle.records]
    assert not {(one.thing.kind, one.relation) for one in tune} & {(one.thing.kind, one.relation) for one in test}
    assert not {one.scene for one in tune} & {one.scene for one in test}
