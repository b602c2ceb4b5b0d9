"""Other words for the questions of the embedded data sets, as its generator words them (never its held-out ones)."""

from __future__ import annotations

from random import Random

from data_modules.qa_record import QARecord
from data_modules.records import RecordError


def reword(record: QARecord, seed: int) -> str:
    """The question of ``record`` in words drawn by ``seed``; the same for the same two.

    Raises:
        RecordError: the record is not of an embedded data set.
    """
    from rv_edit.pocket.questions import restored

    data = record.extras.get("pocket")
    if data is None:
        raise RecordError(f"record {record.id}: not of an embedded data set; set dataset.rewording=null")
    asked = restored(data, record.question, record.choices, record.answer, record.reasoning)
    return asked.query.render(Random(seed))
