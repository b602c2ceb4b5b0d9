"""From what was written and drawn to the files of a suites folder; see ``docs/building_suites.md`` for the layout."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from data_modules.built_suites import EDITS, ITEMS, SCHEMA, read_lines
from data_modules.records import Edit
from rv_edit.augment import item_seed
from rv_edit.benchmark.building.parsing import RationaleQuestion
from rv_edit.benchmark.building.pictures import Drawn
from rv_edit.benchmark.building.plan import EditPlan, PictureJob, numbered, text_jobs
from rv_edit.benchmark.building.settings import BUILT, BuildSettings
from rv_edit.benchmark.building.texts import Written

Item = dict[str, Any]


def items_of(
    plan: EditPlan,
    jobs: Sequence[PictureJob],
    settings: BuildSettings,
    written: Mapping[str, Written],
    drawn: Mapping[str, Drawn],
) -> tuple[list[Item], dict[str, dict[str, int]]]:
    """The finished questions of an edit, and how many are missing by suite and reason.

    Args:
        plan: the edit.
        jobs: its pictures, as :func:`~rv_edit.benchmark.building.plan.picture_jobs` lists them.
        settings: the options.
        written: what became of all texts.
        drawn: what became of all pictures.
    """
    edit = plan.edit
    texts = {job.item: job.suite for job in text_jobs(plan, settings)}
    dropped: dict[str, Counter[str]] = {suite: Counter() for suite in BUILT}
    for item, suite in texts.items():
        dropped[suite].update(written[item].dropped)
    items: list[Item] = []
    if "t_gen" in settings.suites:
        found = written[f"{edit.id}/t"]
        for place, (text, origin) in enumerate(zip(found.texts, found.provenance, strict=True)):
            more: dict[str, Any] = {"image": None, "text_from": origin}
            items.append(_item(edit, "t_gen", f"{edit.id}/t{place}", text, edit.choices, edit.target, more))
    for job in jobs:
        made = drawn[job.item]
        if made.picture is None:
            dropped[job.suite][str(made.dropped)] += 1
            continue
        more = {"image": dict(made.picture), "image_from": made.provenance}
        if plan.caption and plan.caption in job.prompt:
            more["caption_from"] = plan.caption_from
        if job.suite == "r_gen":
            source = written[job.item]
            asked: RationaleQuestion = source.texts[0]
            choices = [asked.correct, *asked.incorrect]
            random.Random(item_seed(settings.seed, job.item, "order")).shuffle(choices)
            more |= {"facts": list(job.subject.facts), "text_from": source.provenance[0]}
            target = choices.index(asked.correct)
            items.append(_item(edit, "r_gen", job.item, asked.question, choices, target, more))
            continue
        if job.suite == "coe_gen":
            source = written[f"{edit.id}/c{numbered(plan.chain)}"]
            scene = {"scene": source.texts[job.index], "text_from": source.provenance[job.index]}
            more |= {"chain": list(plan.chain), **scene}
        items.append(_item(edit, job.suite, job.item, edit.question, edit.choices, edit.target, more))
    return items, {suite: dict(sorted(reasons.items())) for suite, reasons in dropped.items() if reasons}


def _item(
    edit: Edit, suite: str, name: str, text: str, choices: Sequence[str], target: int, more: Mapping[str, Any]
) -> Item:
    asked = {"suite": suite, "edit_id": edit.id, "id": name, "question": text, "choices": list(choices)}
    return {**asked, "target": target, **more}


def edit_row(
    plan: EditPlan, model: str, suites: Sequence[str], dropped: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """What the folder keeps of an edit: what it is known by, whose error it is, and which facts induce that error.

    ``suites`` are those made; without ``coe_gen`` the error chain was not looked for.
    """
    edit = plan.edit
    return {
        "id": edit.id,
        "image_sha": edit.image.sha,
        "question": edit.question,
        "choices": list(edit.choices),
        "answer": edit.answer,
        "facts": list(edit.reasoning),
        "caption": plan.caption,
        "caption_from": None if plan.caption_from is None else dict(plan.caption_from),
        "models": [model],
        "chains": {model: list(plan.chain)} if "coe_gen" in suites else {},
        "dropped": {suite: dict(reasons) for suite, reasons in dropped.items()},
    }


def merged(
    folder: Path, edits: Sequence[dict[str, Any]], items: Sequence[Item], suites: Sequence[str]
) -> tuple[list[dict[str, Any]], list[Item]]:
    """Edits and items together with those that the folder holds from earlier runs, each in the order of their ids.

    Of the same edits, the ``suites`` made now replace those of earlier runs, but for the chains of other models.

    Raises:
        RecordError: the folder's files are damaged.
    """
    old_edits = {str(row["id"]): row for row in read_lines(folder / EDITS)} if (folder / EDITS).exists() else {}
    old_items = read_lines(folder / ITEMS) if (folder / ITEMS).exists() else []
    now = {str(row["id"]): row for row in edits}
    chains = {name: list(row["chains"].values()) for name, row in now.items()}
    for name, row in now.items():
        old = old_edits.get(name, {})
        others = {suite: lost for suite, lost in old.get("dropped", {}).items() if suite not in suites}
        row["dropped"] = {**others, **row["dropped"]}
        row["chains"] = {**old.get("chains", {}), **row["chains"]}
        row["models"] = sorted({*old.get("models", ()), *row["models"]})

    def stays(item: Item) -> bool:
        name, suite = item["edit_id"], item["suite"]
        return name not in now or suite not in suites or (suite == "coe_gen" and item["chain"] not in chains[name])

    order = {suite: place for place, suite in enumerate(BUILT)}
    together = [*filter(stays, old_items), *items]
    together.sort(key=lambda item: (item["edit_id"], order[item["suite"]], item["id"]))
    rows = {**old_edits, **now}
    return [rows[name] for name in sorted(rows)], together


def summary(
    edits: Sequence[Mapping[str, Any]], items: Iterable[Mapping[str, Any]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """``suites.json``: what the folder holds, what is missing and why, and what it was made with."""
    made = Counter(item["suite"] for item in items)
    dropped: dict[str, Counter[str]] = {suite: Counter() for suite in BUILT}
    for row in edits:
        for suite, reasons in row["dropped"].items():
            dropped[suite].update(reasons)
    errors = Counter(model for row in edits for model in row["models"])
    without = Counter(model for row in edits for model, chain in row["chains"].items() if not chain)
    return {
        "schema": SCHEMA,
        **about,
        "edits": len(edits),
        "edits_by_model": dict(sorted(errors.items())),
        "edits_without_error_chain": dict(sorted(without.items())),
        "made": {suite: made[suite] for suite in BUILT},
        "dropped": {suite: dict(sorted(reasons.items())) for suite, reasons in dropped.items() if reasons},
    }


def dump_lines(rows: Iterable[Mapping[str, Any]], stream: TextIO) -> None:
    """JSON lines, the same bytes for the same rows."""
    stream.writelines(json.dumps(row, ensure_ascii=True, sort_keys=True) + "\n" for row in rows)
