"""The tables of docs/performance.md; what is written between them stays."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.speed_parts.common import Part, Row

QUIET = 0.5
"""Load beyond the measuring thread up to which a machine counts as quiet."""


def written(page: str, parts: Mapping[str, Part]) -> str:
    """The page with the table of each part between ``<!-- speed:NAME -->`` and ``<!-- end -->``.

    Raises:
        ValueError: the page has no place for a part.
    """
    for name, part in parts.items():
        pattern = re.compile(rf"(<!-- speed:{name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(page):
            raise ValueError(f"the page has no <!-- speed:{name} --> … <!-- end --> to write the table into")
        text = "\n".join(table(part))
        page = pattern.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)  # type: ignore[misc]
    return page


def table(part: Part) -> list[str]:
    """A part's rows, its notes, and on what it was measured."""
    lines = [
        "| what | ours | alternative | takes | ratio | target | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [line(row, part.machine.get("scale") == 1) for row in part.rows]
    agreed = dict.fromkeys(row.agrees for row in part.rows if row.agrees)
    lines += ["", *(f"{note}" for note in part.notes), *([f"Asserted: {'; '.join(agreed)}."] if agreed else [])]
    return [*lines, under(part)]


def line(row: Row, judged: bool) -> str:
    """A row of the table; a trial of smaller size is not judged."""
    sign = "≥" if row.at_least else "≤"
    target = "–" if row.target is None else f"{sign} {row.target:g}"
    met = "–" if row.met is None else "not judged" if not judged else "yes" if row.met else "**no**"
    unit = row.unit
    return (
        f"| {row.what} | {row.ours:.4g} {unit} | {row.alternative} | {row.other:.4g} {unit} | {row.ratio:.2f} "
        f"| {target} | {met} |"
    )


def under(part: Part) -> str:
    """What the figures depend on, in small print."""
    about = part.machine
    load = float(about.get("load", 0))
    busy = load > int(about.get("threads", 1)) + QUIET
    text = (
        f"{about.get('threads')} thread(s) of {about.get('cores')} cores, {about.get('rounds')} rounds, "
        f"{about.get('clock')}, torch {about.get('torch')}, transformers {about.get('transformers')}."
    )
    if about.get("scale") != 1:
        text += f" **A trial at scale {about.get('scale')}: it shows that everything runs, no more.**"
    if busy:
        text += f" **Measured on a busy machine (load {load:g}): ratios hold roughly, times do not.**"
    return text
