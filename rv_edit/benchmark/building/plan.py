"""Which texts and pictures an edit's suites need (paper 4.1 and appendix B). Pure: nothing is asked of anybody here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from data_modules.qa_record import QARecord
from data_modules.records import Edit
from rv_edit.augment import item_seed
from rv_edit.benchmark.building import parsing
from rv_edit.benchmark.building.requests import Subject
from rv_edit.benchmark.building.settings import BuildSettings, fill
from rv_edit.benchmark.error_chain import ordered_subsets

Read = Callable[[str], tuple[list[Any], "Counter[str]"]]
"""Reads an answer: what is good in it, and how much is bad for which reason."""


@dataclass(frozen=True)
class EditPlan:
    """An edit and what is known of it before anything is made.

    ``chain`` are the facts that induce the error, ``caption`` a sentence about its picture (may be empty), and
    ``caption_from`` says who wrote that.
    """

    edit: Edit
    record: QARecord = field(repr=False)
    chain: tuple[int, ...] = ()
    caption: str = ""
    caption_from: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TextJob:
    """``wanted`` texts for an item, each as ``read`` finds it in the answers to ``prompt``."""

    item: str
    suite: str
    prompt: str
    wanted: int
    subject: Subject = field(repr=False)
    read: Read = field(repr=False, compare=False)


@dataclass(frozen=True)
class PictureJob:
    """One picture for an item by the image model ``model``; ``index`` tells siblings apart."""

    item: str
    suite: str
    prompt: str
    model: str
    index: int
    subject: Subject = field(repr=False)


def numbered(facts: Sequence[int]) -> str:
    """How a subset of the facts is named in ids: ``012``, or ``0.11`` where there are more than ten.

    >>> numbered((0, 2)), numbered((0, 11))
    ('02', '0.11')
    """
    return ("." if max(facts, default=0) > 9 else "").join(map(str, facts))


def subsets(plan: EditPlan, settings: BuildSettings) -> list[tuple[int, ...]]:
    """The subsets of the facts that R-Gen asks about."""
    return list(islice(ordered_subsets(len(plan.edit.reasoning)), settings.r_gen.most_subsets))


def text_jobs(plan: EditPlan, settings: BuildSettings) -> list[TextJob]:
    """What must be written for an edit."""
    edit, jobs = plan.edit, []
    if "t_gen" in settings.suites:
        ask = settings.t_gen
        prompt = _told(ask.prompt, ask.form, question=edit.question, count=ask.count)
        read = partial(parsing.rephrasings, question=edit.question)
        everything = tuple(range(len(edit.reasoning)))
        jobs.append(TextJob(f"{edit.id}/t", "t_gen", prompt, ask.count, Subject(edit, plan.record, everything), read))
    if "r_gen" in settings.suites:
        for facts in subsets(plan, settings):
            subject = Subject(edit, plan.record, facts)
            rationale = settings.r_gen
            prompt = _told(rationale.prompt, rationale.form, facts=subject.sentences(), count=rationale.wrong)
            read_one = partial(_one_question, edited=edit.question, wrong=rationale.wrong)
            jobs.append(TextJob(f"{edit.id}/r{numbered(facts)}", "r_gen", prompt, 1, subject, read_one))
    if "coe_gen" in settings.suites and plan.chain:
        subject = Subject(edit, plan.record, plan.chain)
        scenes = settings.coe_gen
        prompt = _told(scenes.prompt, scenes.form, facts=subject.sentences(), count=scenes.scenes)
        read = partial(parsing.scenes, most_words=scenes.most_words)
        jobs.append(TextJob(f"{edit.id}/c{numbered(plan.chain)}", "coe_gen", prompt, scenes.scenes, subject, read))
    return jobs


def picture_jobs(
    plan: EditPlan, settings: BuildSettings, models: Sequence[str], written: Mapping[str, Sequence[Any]]
) -> list[PictureJob]:
    """What must be drawn for an edit, once its texts are there.

    Args:
        plan: the edit.
        settings: the options.
        models: names of the image models, in order.
        written: the good texts by the item of their job; a missing item has none.
    """
    edit, jobs = plan.edit, []
    if "i_gen" in settings.suites:
        subject = Subject(edit, plan.record, tuple(range(len(edit.reasoning))))
        prompt = fill(settings.i_gen.picture, caption=plan.caption, facts=subject.sentences())
        for place, model in enumerate(models):
            for turn in range(settings.i_gen.per_model):
                index = place * settings.i_gen.per_model + turn
                jobs.append(PictureJob(f"{edit.id}/i-{model}-{turn}", "i_gen", prompt, model, index, subject))
    if "r_gen" in settings.suites:
        for facts in subsets(plan, settings):
            item = f"{edit.id}/r{numbered(facts)}"
            if written.get(item):
                subject = Subject(edit, plan.record, facts)
                prompt = fill(settings.r_gen.picture, caption=plan.caption, facts=subject.sentences())
                # By the item, not by its place: an edit more or less changes nobody else's model.
                model = settings.r_gen.model or models[item_seed(settings.seed, item, "model") % len(models)]
                jobs.append(PictureJob(item, "r_gen", prompt, model, 0, subject))
    if "coe_gen" in settings.suites and plan.chain:
        subject = Subject(edit, plan.record, plan.chain)
        for index, scene in enumerate(written.get(f"{edit.id}/c{numbered(plan.chain)}", ())):
            prompt = fill(settings.coe_gen.picture, scene=scene, facts=subject.sentences(), caption=plan.caption)
            item = f"{edit.id}/c{numbered(plan.chain)}-{index}"
            jobs.append(PictureJob(item, "coe_gen", prompt, settings.coe_gen.model or models[0], index, subject))
    return jobs


def _told(prompt: str, form: str, **values: str | int) -> str:
    """The paper's prompt, and below it how to answer."""
    return f"{fill(prompt, **values)}\n\n{fill(form, **values)}".strip()


def _one_question(text: str, edited: str, wrong: int) -> tuple[list[Any], Counter[str]]:
    return [parsing.rationale_question(text, edited, wrong)], Counter()
