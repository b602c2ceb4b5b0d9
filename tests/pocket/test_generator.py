"""The generator of the embedded world as a provider: its answers are true, and pass the strict reading."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from data_modules.aokvqa import read_aokvqa
from data_modules.bundle import DataBundle
from data_modules.qa_record import QARecord
from data_modules.records import ImageRef
from rv_edit.benchmark.building.plan import EditPlan, picture_jobs, text_jobs
from rv_edit.benchmark.building.requests import ImageRequest, TextRequest, UnusableError
from rv_edit.pocket.compose import true_answer
from rv_edit.pocket.dataset import load
from rv_edit.pocket.generator import NO_QUESTION, PocketPictures, PocketTexts
from rv_edit.pocket.provider import PocketSuites, asked_of
from tests.benchmark.building.subjects import shipped

SETTINGS = shipped()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> DataBundle:
    return load("aokvqa", tmp_path_factory.mktemp("world") / "data", questions=40)


def plans(bundle: DataBundle) -> list[EditPlan]:
    return [
        EditPlan(record.as_edit(), record, tuple(range(1 + place % len(record.reasoning))))
        for place, record in enumerate(bundle.records)
    ]


def test_texts_pass_the_strict_reading(bundle: DataBundle) -> None:
    writer = PocketTexts(count=10, scenes=3)
    good: Counter[str] = Counter()
    refused: set[tuple[str, str, bool]] = set()
    for plan in plans(bundle):
        for job in text_jobs(plan, SETTINGS):
            request = TextRequest(job.item, job.suite, job.prompt, 1, job.subject)
            try:
                reply = writer.ask(request, threading.Event())
            except UnusableError as error:
                refused.add((job.suite, error.reason, error.final))
                continue
            texts, bad = job.read(reply.text)
            assert not bad, (job.item, bad)
            good[job.suite] += len(texts)
            assert writer.ask(request, threading.Event()) == reply
    assert refused <= {("r_gen", NO_QUESTION, True)}
    assert good["t_gen"] == 40 * 10 and good["coe_gen"] > 40 * 3 * 0.9 and good["r_gen"] > 40 * 3


def test_questions_on_facts_are_those_of_the_data_set_s_own_suites(bundle: DataBundle) -> None:
    own = PocketSuites()
    for plan in plans(bundle)[:15]:
        expected = {question.id: question for question in own.r_gen(plan.edit, plan.record)}
        for job in text_jobs(plan, shipped(suites=["r_gen"])):
            if job.item not in expected:
                continue
            reply = PocketTexts(10, 3).ask(TextRequest(job.item, "r_gen", "", 1, job.subject), threading.Event())
            ((found,), _) = job.read(reply.text)
            question = expected[job.item]
            assert found.question == question.text and found.correct == question.choices[question.target]
            assert {found.correct, *found.incorrect} == set(question.choices)


def test_pictures_show_scenes_where_the_answer_is_true(bundle: DataBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    painter = PocketPictures()
    scenes = []
    monkeypatch.setattr(
        "rv_edit.pocket.generator.render", lambda scene: scenes.append(scene) or Image.new("RGB", (2, 2))
    )
    drawn = 0
    for plan in plans(bundle):
        written = {job.item: ["text"] * job.wanted for job in text_jobs(plan, SETTINGS)}
        for job in picture_jobs(plan, SETTINGS, ["a", "b"], written):
            scenes.clear()
            shown = [
                painter.paint([ImageRequest(job.item, job.suite, "", seed, job.index, job.subject)])[0]
                for seed in (1, 2)
            ]
            if isinstance(shown[0], UnusableError):
                continue
            drawn += 1
            assert scenes[0] != scenes[1]  # another seed, another picture
            if job.suite != "r_gen":
                assert true_answer(asked_of(plan.record).query, scenes[1]) == plan.edit.answer, job.item
    assert drawn > 40 * 8


def test_another_data_set_is_refused_in_one_line() -> None:
    record = QARecord("q", ImageRef("sha"), "?", ("a", "b"), "a")
    for provider in (PocketTexts(10, 3), PocketPictures()):
        why = provider.refuses(record)
        assert why is not None and "task/" in why and "\n" not in why


def test_the_folder_read_by_the_real_reader_knows_its_scene(bundle: DataBundle) -> None:
    root = Path(bundle.records[0].image.path or "").parents[2]
    assert asked_of(read_aokvqa(root, "val")[0]).text == bundle.records[0].question
