"""A few questions to try a model on: pictures, what it gets wrong about them, and what would put it right.

``python -m rv_edit.pocket.showcase <new folder>`` asks the shipped model and writes what ``rv_edit/pocket/examples``
holds, a folder of edits of one's own with ``rephrasings`` besides. To be made anew when the weights are.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from data_modules.own_export import export
from data_modules.qa_record import QARecord
from data_modules.records import Edit
from rv_edit.api import EditedVLM
from rv_edit.pocket.dataset import load
from rv_edit.pocket.provider import PocketSuites, asked_of

WRONG, RIGHT, REPHRASINGS = 6, 2, 2


def choose(vlm: EditedVLM, records: list[QARecord]) -> list[tuple[QARecord, tuple[str, ...]]]:
    """Questions and other words for each: first :data:`WRONG` that the model gets wrong, then :data:`RIGHT` others.

    Of the wrong ones only those that an edit puts right, also in other words; each asks for another relation.
    """
    provider = PocketSuites(t_gen=REPHRASINGS)
    found: list[tuple[QARecord, tuple[str, ...]]] = []
    relations: set[str] = set()
    right: list[tuple[QARecord, tuple[str, ...]]] = []
    for record in records:
        relation, kind = asked_of(record).relation, asked_of(record).thing.kind
        if relation in relations or kind in relations:
            continue
        edit = Edit(record.id, record.image, record.question, record.choices, record.answer, record.reasoning)
        texts = [record.question, *(question.text for question in provider.t_gen(edit, record))]
        said = [str(reply) for reply in vlm.ask(record.image, texts, record.choices)]
        if len(texts) <= REPHRASINGS:
            continue
        if all(text == record.answer for text in said):
            if len(right) < RIGHT:
                right.append((record, tuple(texts[1:])))
                relations.add(kind)
            continue
        if said[0] == record.answer or len(found) == WRONG:
            continue
        receipt = vlm.edit(record.image, record.question, record.answer, record.reasoning)
        mended = [str(reply) for reply in vlm.ask(record.image, texts, record.choices)]
        vlm.undo(receipt.edit_id)
        if all(text == record.answer for text in mended):
            found.append((record, tuple(texts[1:])))
            relations |= {relation, kind}
        if len(found) == WRONG and len(right) == RIGHT:
            break
    return found + right


def write(folder: Path, chosen: list[tuple[QARecord, tuple[str, ...]]]) -> None:
    """Write the folder; it must be new."""
    path = export([record for record, _ in chosen], folder)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row, (_, texts) in zip(rows, chosen, strict=True):
        row["rephrasings"] = list(texts)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    with tempfile.TemporaryDirectory() as cache:
        pool = load("aokvqa", root=Path(cache) / "pool", questions=300).records
        write(parser.parse_args().folder, choose(EditedVLM.from_pretrained("pocket_llava"), list(pool)))
