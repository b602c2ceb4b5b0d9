"""``python benchmarks/misses.py RUN``: which questions of a run are missed, and what had been retrieved for them.

Reads the ``answers.jsonl`` and ``codebook/`` of finished runs; ``pocket_results.py`` puts them on its page.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

SUITES = ("acc", "t_gen", "i_gen", "coe_gen", "r_gen", "contrast")


class Told(NamedTuple):
    """What a codebook holds of an edit."""

    answers: frozenset[str]
    reasons: frozenset[str]


class Found(NamedTuple):
    """What was retrieved of the edit a question belongs to."""

    answer: bool
    reasons: int
    of: int

    def __str__(self) -> str:
        what = "answer" if self.answer else "no answer"
        return f"{what}, {self.reasons} of {self.of} facts"


class Tally(NamedTuple):
    """Questions, and how many of them are right."""

    n: int
    right: int


def told_by_edit(sentences: Iterable[Mapping[str, Any]]) -> dict[str, Told]:
    """The sentences of every edit, from the lines of ``codebook.jsonl``."""
    answers: dict[str, set[str]] = defaultdict(set)
    reasons: dict[str, set[str]] = defaultdict(set)
    for one in sentences:
        if one.get("record") == "sentence":
            (answers if one["kind"] == "answer" else reasons)[one["edit"]].add(one["text"])
    return {edit: Told(frozenset(answers[edit]), frozenset(reasons[edit])) for edit in {*answers, *reasons}}


def by_retrieval(rows: Iterable[Mapping[str, Any]], told: Mapping[str, Told]) -> dict[str, dict[Found, Tally]]:
    """Per suite: questions and right answers by what was retrieved of their own edit."""
    counts: dict[str, dict[Found, Tally]] = defaultdict(dict)
    for row in rows:
        own = told.get(row.get("edit_id") or "")
        if own is None or row["suite"] not in SUITES:
            continue
        facts = set(row["facts"])
        key = Found(bool(own.answers & facts), len(own.reasons & facts), len(own.reasons))
        n, right = counts[row["suite"]].get(key, Tally(0, 0))
        counts[row["suite"]][key] = Tally(n + 1, right + bool(row["correct"]))
    return dict(counts)


def by_subset(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Tally, Tally]]:
    """R-Gen before and after, by the facts a question rests on (``0``, ``01``, …: the end of its id after ``/r``)."""
    asked, before, after = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        if row["suite"] == "r_gen" and "/r" in row["id"]:
            part = row["id"].rpartition("/r")[2]
            asked[part] += 1
            before[part] += bool(row["correct_before"])
            after[part] += bool(row["correct"])
    order = sorted(asked, key=lambda part: (len(part), part))
    return {part: (Tally(asked[part], before[part]), Tally(asked[part], after[part])) for part in order}


class Lost(NamedTuple):
    """Unrelated questions that turned wrong."""

    n: int
    of: int
    stated: int
    """Of those lost: the wrong answer stands in a retrieved sentence."""
    lead_lost: float | None
    lead_kept: float | None
    """Median lead of the right answer before the edits, in log-probability."""


def lost_locality(rows: Iterable[Mapping[str, Any]]) -> Lost:
    """What became of the unrelated questions that were right before."""
    lost, kept, stated = [], [], 0
    for row in rows:
        if row["suite"] != "loc" or not row["correct_before"]:
            continue
        best, second = sorted(row["scores_before"], reverse=True)[:2]
        (kept if row["correct"] else lost).append(best - second)
        if not row["correct"]:
            wrong = f" {row['choices'][row['prediction']]}".lower()
            stated += any(f"{wrong}{end}" in fact.lower() for fact in row["facts"] for end in (" ", "."))
    middle = [median(leads) if leads else None for leads in (lost, kept)]
    return Lost(len(lost), len(lost) + len(kept), stated, *middle)


def read(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Told]]:
    """Answers and stored sentences of a run."""
    lines = (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    stored = (folder / "codebook" / "codebook.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], told_by_edit(json.loads(line) for line in stored)


def tables(folder: Path, least: int = 5) -> list[str]:
    """Markdown; of what was retrieved, cases with fewer than ``least`` questions in every suite are left out."""
    rows, told = read(folder)
    counts = by_retrieval(rows, told)
    cases = sorted({case for found in counts.values() for case in found}, reverse=True)
    cases = [case for case in cases if any(found.get(case, Tally(0, 0)).n >= least for found in counts.values())]
    shown = [suite for suite in SUITES if suite in counts]
    lines = ["| retrieved of the edit | " + " | ".join(shown) + " |", "| --- |" + " --- |" * len(shown)]
    for case in cases:
        tallies = [counts[suite].get(case, Tally(0, 0)) for suite in shown]
        cells = [f"{right / n:.2f} <sub>of {n}</sub>" if n else "–" for n, right in tallies]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    lines.append("")
    if found := by_subset(rows):
        lines += ["| R-Gen, by the facts it rests on | questions | before | after |", "| --- | --- | --- | --- |"]
        for part, (before, after) in found.items():
            facts = " and ".join(str(int(place) + 1) for place in part)
            lines.append(f"| {facts} | {after.n} | {before.right / before.n:.2f} | {after.right / after.n:.2f} |")
        lines.append("")
    lost = lost_locality(rows)
    if lost.of:
        text = (
            f"Locality: {lost.n} of {lost.of} lost; in {lost.stated} the wrong answer stands in a retrieved sentence."
        )
        if lost.lead_lost is not None and lost.lead_kept is not None:
            leads = f"{lost.lead_lost:.1f} where lost, {lost.lead_kept:.1f} where kept"
            text += f" Median lead of the right answer before, in log-probability: {leads}."
        lines += [text, ""]
    return lines


def main() -> None:
    """Print the tables of runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="output folders")
    for run in parser.parse_args().runs:
        print(f"## {run}\n")
        print("\n".join(tables(run)))


if __name__ == "__main__":
    main()
