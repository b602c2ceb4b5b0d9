"""Evidence of an edit: all rectangles × three facts in a few batches, against the loop of plain forwards."""

from __future__ import annotations

from benchmarks.speed_parts.common import WEIGHTS, Options, Part, Row, alternately, machine
from benchmarks.speed_parts.plain import evidence
from rv_edit.evidence import EvidenceSelector
from rv_edit.vlm import load_vlm

TARGETS = {"llava": 8.0}
TARGET = 5.0
FACTS = 3


def measure(options: Options) -> Part:
    """A new edit in every round; the same crops must be found for every fact."""
    from rv_edit.pocket.dataset import load

    rows, notes = [], []
    for name in options.models:
        vlm = load_vlm(f"{WEIGHTS}/{name}")
        selector = EvidenceSelector(vlm)
        records = [record for record in load("aokvqa").records if len(record.reasoning) >= FACTS]
        edits = [(record.image.open(), record.reasoning[:FACTS]) for record in records[: options.rounds + 1]]
        ours, other, results = alternately(
            lambda turn, edits=edits, selector=selector: [  # type: ignore[misc]
                list(fact.boxes) for fact in selector(*edits[turn]).facts
            ],
            lambda turn, edits=edits, selector=selector: evidence(  # type: ignore[misc]
                selector.vlm, *edits[turn], selector.threshold, (selector.show_prompt, selector.describe_prompt)
            ),
            options.rounds,
            options.clock,
        )
        for left, right in results:
            assert left == right, f"other crops were found: {left} and {right}"
        found = sum(bool(boxes) for left, _ in results for boxes in left)
        notes.append(f"{name}: crops were found for {found} of {FACTS * len(results)} facts.")
        rows.append(
            Row.timed(
                f"{name}: evidence of an edit, {FACTS} facts",
                ours,
                other,
                "a `transformers` forward a patch and fact",
                TARGETS.get(name, TARGET),
                agrees="same crops",
                unit="ms an edit",
            )
        )
    return Part(rows, notes, machine(options))
