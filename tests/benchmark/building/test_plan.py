"""Which texts and pictures an edit needs, against the paper's counts and prompts written out."""

from __future__ import annotations

from collections import Counter
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rv_edit.benchmark.building.plan import numbered, picture_jobs, text_jobs
from rv_edit.benchmark.building.requests import UnusableError
from rv_edit.benchmark.building.settings import fill
from rv_edit.errors import ConfigError
from tests.benchmark.building.subjects import FACTS, plan, shipped

MODELS = ["sd3", "flux"]


def test_an_edit_with_three_facts_as_in_the_paper() -> None:
    settings, one = shipped(), plan(chain=(0, 2))
    jobs = {job.item: job for job in text_jobs(one, settings)}
    assert Counter(job.suite for job in jobs.values()) == {"t_gen": 1, "r_gen": 7, "coe_gen": 1}
    assert (jobs["q1/t"].wanted, jobs["q1/r02"].wanted, jobs["q1/c02"].wanted) == (10, 1, 3)
    assert jobs["q1/t"].prompt.splitlines()[0] == (
        "Please rephrase the following question in 10 different ways: What does q1 do?."
    )
    assert jobs["q1/r02"].prompt.splitlines()[0] == (
        "You are creating a multiple-choice question from the given facts: The cat is red. The mat is blue.. Task: "
        "(1) Write one question that can be answered using only these facts. (2) Write one correct answer. "
        "(3) Write three incorrect but plausible answers."
    )
    assert jobs["q1/c02"].prompt.splitlines()[0] == (
        "Given these visual facts: The cat is red. The mat is blue., generate 3 different creative scenarios where ALL "
        "these facts would be visually true. Requirements: Each scenario must be exactly one sentence (less than 20 "
        "words). Be creative but plausible. Describe what would be visible in the image. Do not contradict the given "
        "facts."
    )
    assert all("JSON" in job.prompt.splitlines()[-1] for job in jobs.values())
    written: dict[str, list[Any]] = {item: [f"Text {n}." for n in range(job.wanted)] for item, job in jobs.items()}
    drawn = picture_jobs(one, settings, MODELS, written)
    assert Counter(job.suite for job in drawn) == {"i_gen": 4, "r_gen": 7, "coe_gen": 3}
    assert Counter(job.model for job in drawn if job.suite == "i_gen") == {"sd3": 2, "flux": 2}
    assert {job.model for job in drawn if job.suite == "coe_gen"} == {"sd3"}
    prompts = {job.item: job.prompt for job in drawn}
    assert prompts["q1/i-flux-1"] == f"A cat sits. {' '.join(FACTS)}"
    assert prompts["q1/r01"] == "A cat sits. The cat is red. Cats purr."
    assert prompts["q1/c02-1"] == "Text 1. The cat is red. The mat is blue."
    assert len(prompts) == len(drawn)
    assert [job.subject.facts for job in drawn if job.item == "q1/r12"] == [(1, 2)]


@given(st.integers(0, 6), st.integers(1, 40))
def test_a_question_for_every_subset_in_order_smallest_first(facts: int, most: int) -> None:
    sentences = tuple(f"Fact {n}." for n in range(facts))
    settings = shipped(r_gen__most_subsets=most, suites=["r_gen"])
    jobs = text_jobs(plan(facts=sentences), settings)
    everything = list(chain.from_iterable(combinations(range(facts), size) for size in range(1, facts + 1)))
    assert [job.subject.facts for job in jobs] == everything[:most]
    assert all(" ".join(sentences[n] for n in job.subject.facts) in job.prompt for job in jobs)


def test_what_is_not_there_needs_nothing() -> None:
    bare = plan(chain=(), facts=(), caption="")
    assert [job.suite for job in text_jobs(bare, shipped())] == ["t_gen"]
    assert [job.suite for job in picture_jobs(bare, shipped(), MODELS, {})] == ["i_gen"] * 4
    one = plan(chain=(1,))
    drawn = picture_jobs(one, shipped(), MODELS, {"q1/r0": ["asked"], "q1/c1": ["Scene."]})
    assert [job.item for job in drawn if job.suite != "i_gen"] == ["q1/r0", "q1/c1-0"]
    assert not text_jobs(plan(), shipped(suites=["i_gen"]))


def test_models_take_turns_by_item_or_are_given() -> None:
    plans = [plan(f"q{n}") for n in range(60)]
    written: dict[str, list[Any]] = {f"{one.edit.id}/r0": ["asked"] for one in plans}

    def models(settings: Any, chosen: list[Any]) -> dict[str, str]:
        jobs = [job for one in chosen for job in picture_jobs(one, settings, MODELS, written) if job.suite == "r_gen"]
        return {job.item: job.model for job in jobs}

    turns = models(shipped(), plans)
    assert 20 <= Counter(turns.values())["sd3"] <= 40
    assert models(shipped(), plans[30:]).items() <= turns.items()
    assert set(models(shipped(r_gen__model="flux"), plans).values()) == {"flux"}


def test_readers_belong_to_their_jobs() -> None:
    jobs = {job.suite: job for job in text_jobs(plan(facts=FACTS[:1], chain=(0,)), shipped())}
    assert jobs["t_gen"].read('["What does q1 do", "New?"]')[0] == ["New?"]
    with pytest.raises(UnusableError):
        jobs["r_gen"].read('{"question": "What does q1 do", "correct": "a", "incorrect": ["b", "c", "d"]}')
    assert jobs["coe_gen"].read('["One. Two."]')[0] == []


@pytest.mark.parametrize(("facts", "name"), [((), ""), ((0,), "0"), ((0, 9), "09"), ((1, 10), "1.10")])
def test_names_of_subsets(facts: tuple[int, ...], name: str) -> None:
    assert numbered(facts) == name


def test_templates() -> None:
    assert fill('{a}\n{"b": "{c}"}', a=" x ", c=3) == 'x \n{"b": "3"}'
    assert fill("{caption} {facts}", caption="", facts="A.") == "A."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"suites": ["acc"]}, "task.suites"),
        ({"suites": []}, "task.suites"),
        ({"attempts": 0}, "task.attempts=0"),
        ({"regenerations": -1}, "task.regenerations=-1"),
        ({"regenerations": True}, "task.regenerations=True"),
        ({"t_gen__count": 0}, "task.t_gen.count=0"),
        ({"t_gen__count": 2.5}, "task.t_gen.count=2.5"),
        ({"t_gen__colour": 1}, "task.t_gen.colour"),
        ({"t_gen__prompt": "Rephrase."}, r"task.t_gen.prompt: it must contain \{question\}"),
        ({"r_gen__prompt": "Ask."}, r"\{facts\}"),
        ({"r_gen__model": 3}, "task.r_gen.model=3"),
        ({"coe_gen__picture": "{facts}"}, r"\{scene\}"),
        ({"coe_gen": None}, "task.coe_gen"),
        ({"i_gen": {"per_model": 2}}, "task.i_gen.picture has no value"),
    ],
)
def test_bad_settings_are_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        shipped(**change)
    assert "\n" not in str(caught.value)


def test_settings_keep_their_order() -> None:
    assert shipped(suites=["coe_gen", "t_gen"]).suites == ("t_gen", "coe_gen")
