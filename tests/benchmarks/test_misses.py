"""What was retrieved for a missed question: counted from a run's own files."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.misses import Found, Lost, Tally, by_retrieval, by_subset, lost_locality, read, tables, told_by_edit

SENTENCES = [
    {"record": "codebook", "edits": 2},
    {"record": "sentence", "edit": "a", "kind": "answer", "text": "The answer is clay."},
    {"record": "sentence", "edit": "a", "kind": "reasoning", "text": "The thing is a mug."},
    {"record": "sentence", "edit": "a", "kind": "reasoning", "text": "A mug is made of clay."},
    {"record": "sentence", "edit": "b", "kind": "answer", "text": "The answer is tin."},
]


def row(suite: str, edit: str | None, correct: bool, *facts: str, **more: object) -> dict[str, object]:
    return {"suite": suite, "edit_id": edit, "correct": correct, "facts": list(facts), **more}


def test_only_what_belongs_to_the_questions_own_edit_counts() -> None:
    told = told_by_edit(SENTENCES)
    rows = [
        row("acc", "a", True, "The answer is clay.", "The thing is a mug."),
        row("acc", "a", False, "The answer is clay.", "The thing is a mug.", "The answer is tin."),
        row("acc", "a", False, "The answer is tin."),
        row("acc", "b", True, "The answer is tin.", "The thing is a mug."),
        row("loc", None, True, "The answer is tin."),
        row("acc", "gone", True),
    ]
    assert by_retrieval(rows, told) == {
        "acc": {Found(True, 1, 2): Tally(2, 1), Found(False, 0, 2): Tally(1, 0), Found(True, 0, 0): Tally(1, 1)}
    }


def test_questions_on_facts_are_counted_by_their_facts() -> None:
    rows = [
        {"suite": "r_gen", "id": "a/r01", "correct_before": False, "correct": True},
        {"suite": "r_gen", "id": "b/r01", "correct_before": True, "correct": True},
        {"suite": "r_gen", "id": "a/r2", "correct_before": False, "correct": False},
        {"suite": "acc", "id": "a/r2", "correct_before": True, "correct": True},
    ]
    assert by_subset(rows) == {"2": (Tally(1, 0), Tally(1, 0)), "01": (Tally(2, 1), Tally(2, 2))}
    assert list(by_subset(rows)) == ["2", "01"]


def locality(correct: bool, lead: float, *facts: str, before: bool = True) -> dict[str, object]:
    more = {"scores_before": [-lead, 0.0, -9.0], "choices": ["red", "tin", "re"], "prediction": 0 if not correct else 1}
    return row("loc", None, correct, *facts, correct_before=before, **more)


def test_lost_locality_tells_stated_answers_and_leads() -> None:
    rows = [
        locality(True, 4.0, "It is red."),
        locality(False, 1.0, "It is red."),
        locality(False, 3.0, "It is reddish."),
        locality(False, 8.0, before=False),
    ]
    assert lost_locality(rows) == Lost(n=2, of=3, stated=1, lead_lost=2.0, lead_kept=4.0)
    assert lost_locality([]) == Lost(0, 0, 0, None, None)


def test_tables_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "codebook").mkdir()
    (tmp_path / "codebook/codebook.jsonl").write_text("\n".join(map(json.dumps, SENTENCES)))
    rows = [row("acc", "a", True, "The answer is clay."), row("t_gen", "a", False), locality(True, 2.0)]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read(tmp_path)[0] == rows
    text = "\n".join(tables(tmp_path, least=1))
    assert "| answer, 0 of 2 facts | 1.00 <sub>of 1</sub> | – |" in text
    assert "| no answer, 0 of 2 facts | – | 0.00 <sub>of 1</sub> |" in text
    assert "Locality: 0 of 1 lost" in text
    assert "no answer" not in "\n".join(tables(tmp_path, least=2))
