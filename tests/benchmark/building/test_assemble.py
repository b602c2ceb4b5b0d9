"""The files of a suites folder, and what several runs into one folder leave in it."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from rv_edit.benchmark.building.assemble import dump_lines, edit_row, items_of, merged, summary
from rv_edit.benchmark.building.parsing import RationaleQuestion
from rv_edit.benchmark.building.pictures import Drawn
from rv_edit.benchmark.building.plan import EditPlan, picture_jobs, text_jobs
from rv_edit.benchmark.building.settings import BuildSettings
from rv_edit.benchmark.building.texts import Written
from tests.benchmark.building.subjects import plan, shipped

MODELS = ["sd3", "flux"]


def written_for(one: EditPlan, settings: BuildSettings) -> dict[str, Written]:
    """Texts for all jobs: one rephrasing and one scene short, the question on facts 0 and 1 dropped."""
    found = {}
    for job in text_jobs(one, settings):
        if job.suite == "r_gen":
            wrong = ("wrong 1", "wrong 2", "wrong 3")
            texts: list[Any] = [RationaleQuestion(f"About {job.item}?", "right", wrong)]
            found[job.item] = Written(texts, [{"seed": 1}])
            if job.item.endswith("r01"):
                found[job.item] = Written([], [], Counter({"malformed": 1}))
        else:
            texts = [f"Text {n} of {job.item}." for n in range(job.wanted - 1)]
            found[job.item] = Written(texts, [{"seed": n} for n in range(len(texts))], Counter({"repeated": 1}))
    return found


def built(one: EditPlan, settings: BuildSettings) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
    written = written_for(one, settings)
    jobs = picture_jobs(one, settings, MODELS, {item: found.texts for item, found in written.items()})
    drawn = {
        job.item: Drawn({"file": f"images/{n}.png", "sha": f"sha{n}", "bytes": n}, {"prompt": job.prompt})
        for n, job in enumerate(jobs)
    }
    for item in (f"{one.edit.id}/i-flux-0", f"{one.edit.id}/r2"):
        if item in drawn:
            drawn[item] = Drawn(dropped="blank")
    return items_of(one, jobs, settings, written, drawn)


def test_an_edit_becomes_questions_and_counts() -> None:
    one, settings = plan(chain=(0, 2)), shipped()
    items, dropped = built(one, settings)
    assert Counter(item["suite"] for item in items) == {"t_gen": 9, "i_gen": 3, "r_gen": 5, "coe_gen": 2}
    assert dropped == {
        "t_gen": {"repeated": 1}, "i_gen": {"blank": 1}, "r_gen": {"blank": 1, "malformed": 1},
        "coe_gen": {"repeated": 1},
    }  # fmt: skip
    by_id = {item["id"]: item for item in items}
    assert len(by_id) == len(items)
    reworded = by_id["q1/t3"]
    assert reworded["question"] == "Text 3 of q1/t." and reworded["image"] is None
    assert reworded["choices"][reworded["target"]] == "purr" and reworded["text_from"] == {"seed": 3}
    shown = by_id["q1/i-sd3-1"]
    assert shown["question"] == one.edit.question and shown["image_from"]["prompt"].startswith("A cat sits. The cat")
    rationale = by_id["q1/r12"]
    assert rationale["facts"] == [1, 2] and rationale["choices"][rationale["target"]] == "right"
    assert sorted(rationale["choices"]) == ["right", "wrong 1", "wrong 2", "wrong 3"]
    scene = by_id["q1/c02-1"]
    assert scene["chain"] == [0, 2] and scene["scene"] == "Text 1 of q1/c02." and scene["text_from"] == {"seed": 1}
    assert scene["question"] == one.edit.question and scene["choices"][scene["target"]] == "purr"


def test_the_right_answer_stands_anywhere_but_always_alike() -> None:
    settings = shipped(suites=["r_gen"])
    places = Counter(item["target"] for n in range(30) for item in built(plan(f"q{n}"), settings)[0])
    assert set(places) == {0, 1, 2, 3} and min(places.values()) > 20
    assert built(plan("q3"), settings) == built(plan("q3"), settings)


def run(folder: Path, plans: list[EditPlan], settings: BuildSettings, model: str) -> dict[str, Any]:
    rows, items = [], []
    for one in plans:
        made, dropped = built(one, settings)
        rows.append(edit_row(one, model, settings.suites, dropped))
        items += made
    edits, everything = merged(folder, rows, items, settings.suites)
    for name, lines in (("edits.jsonl", edits), ("items.jsonl", everything)):
        stream = io.StringIO()
        dump_lines(lines, stream)
        (folder / name).write_text(stream.getvalue())
    return summary(edits, everything, {"dataset": "d"})


def ids(folder: Path) -> Counter[tuple[str, str]]:
    rows = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    return Counter((row["edit_id"], row["suite"]) for row in rows)


def test_later_runs_add_edits_models_and_suites(tmp_path: Path) -> None:
    everything, texts = shipped(), shipped(suites=["t_gen"])
    one, two = plan("q1", chain=(0, 2)), plan("q2", chain=())
    first = run(tmp_path, [two, one], everything, "llava")
    assert first["edits"] == 2 and first["edits_without_error_chain"] == {"llava": 1}
    assert first["made"] == {"t_gen": 18, "i_gen": 6, "r_gen": 10, "coe_gen": 2}
    assert first["dropped"]["r_gen"] == {"blank": 2, "malformed": 2}
    before = (tmp_path / "items.jsonl").read_bytes(), (tmp_path / "edits.jsonl").read_bytes()
    assert run(tmp_path, [one, two], everything, "llava") == first
    assert ((tmp_path / "items.jsonl").read_bytes(), (tmp_path / "edits.jsonl").read_bytes()) == before
    assert run(tmp_path, [one], texts, "llava") == first  # the other suites of q1 stay, their counts as well
    other = run(tmp_path, [plan("q1", chain=(1,)), plan("q3", chain=(1,))], everything, "qwen")
    assert other["edits"] == 3 and other["edits_by_model"] == {"llava": 2, "qwen": 2}
    assert ids(tmp_path)["q1", "coe_gen"] == 4 and ids(tmp_path)["q3", "t_gen"] == 9
    rows = [json.loads(line) for line in (tmp_path / "edits.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["q1", "q2", "q3"]
    assert rows[0]["chains"] == {"llava": [0, 2], "qwen": [1]} and rows[0]["models"] == ["llava", "qwen"]
    words = run(tmp_path, [plan("q4", chain=())], texts, "llava")
    assert words["edits_by_model"]["llava"] == 3 and words["edits_without_error_chain"] == {"llava": 1}
