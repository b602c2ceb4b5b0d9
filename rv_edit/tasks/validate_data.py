"""``task=validate_data``: read a data set, decode its pictures, and say what is in it. No model is needed."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from data_modules.own_export import FORMATS, export
from data_modules.qa_record import QARecord, ReadReport
from data_modules.records import RecordError
from data_modules.text import question_key
from rv_edit.errors import ConfigError
from rv_edit.report.files import write_together
from rv_edit.tasks.checks import writable

if TYPE_CHECKING:
    from data_modules.bundle import DataBundle

log = logging.getLogger(__name__)

FILE = "data.json"
"""What was found, in the output folder."""
_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|\S*/\S*|\d+")


@dataclass(frozen=True)
class ValidateOptions:
    """The options of the task, checked.

    Attributes:
        listed: skipped records that are named.
        strict: whether an unusable record, or a data set that is not whole, is an error.
        export: a folder for the usable records; ``None``: none.
        format: of the export.
    """

    listed: int
    strict: bool
    export: str | None
    format: str

    @classmethod
    def of(cls, cfg: DictConfig) -> ValidateOptions:
        """From a composed configuration.

        Raises:
            ConfigError: the first option that cannot be used.
        """
        task = cfg.task
        if isinstance(task.listed, bool) or not isinstance(task.listed, int) or task.listed < 0:
            raise ConfigError(f"task.listed={task.listed}: give a whole number of at least 0")
        if not isinstance(task.strict, bool):
            raise ConfigError(f"task.strict={task.strict}: give true or false")
        if task.format not in FORMATS:
            raise ConfigError(f"task.format={task.format}: give one of {', '.join(FORMATS)}")
        return cls(task.listed, task.strict, None if task.export is None else str(task.export), task.format)


def run(cfg: DictConfig) -> dict[str, Any]:
    """Validate ``cfg.dataset``; ``data.json`` goes to ``cfg.output``.

    Returns:
        What ``data.json`` holds.

    Raises:
        ConfigError: an option cannot be used, or ``task.strict`` and something is wrong with the data.
        RecordError: the data set cannot be read at all, or not be exported.
    """
    options = ValidateOptions.of(cfg)
    output = writable(Path(cfg.output))
    source = cfg.dataset.source.copy()
    if "check_images" in source:
        with open_dict(source):
            source.check_images = False  # all are decoded below, with a bar, whatever the source
    data: DataBundle = instantiate(source, _convert_="all")
    report = data.report if data.report is not None else ReadReport(data.name, len(data.records))
    usable, damaged, sizes = _decoded(data.records)
    report.skipped += damaged
    report.kept = len(usable)
    for line in report.lines(options.listed):
        log.info("%s", line)
    for kind, count in kinds(report.skipped):
        log.info("  %d x %s", count, kind)
    measured = measures(usable, sizes)
    for line in _described(measured, data.provider):
        log.info("%s", line)
    found = _found(data.name, report, measured)
    write_together({output / FILE: lambda stream: json.dump(found, stream, indent=1, ensure_ascii=True)})
    if options.export is not None:
        log.info("exported: %s", export(usable, options.export, options.format))
    log.info("all of it: %s", output / FILE)
    wrong = [f"{len(report.skipped)} records cannot be used"] if report.skipped else []
    wrong += ["it is not whole"] if report.whole is False else []
    if options.strict and wrong:
        raise ConfigError(f"dataset={data.name}: {' and '.join(wrong)}; see {output / FILE}")
    return found


def kinds(skipped: Sequence[tuple[str, str]]) -> list[tuple[str, int]]:
    """The reasons without their particulars, and how often each, the commonest first.

    >>> kinds([("a", "picture /x/1.jpg is missing"), ("b", "picture /x/2.jpg is missing"), ("c", "no question id")])
    [('picture … is missing', 2), ('no question id', 1)]
    """
    counts = Counter(_PARTICULAR.sub("…", reason) for _, reason in skipped)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def measures(records: Sequence[QARecord], sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """What the usable records are like.

    Args:
        records: the records.
        sizes: width and height of each different picture.
    """
    worded = Counter(question_key(record.question) for record in records)
    pixels = sorted(width * height for width, height in sizes)
    return {
        "records": len(records),
        "pictures": len(sizes),
        "pixels": [pixels[0], int(median(pixels)), pixels[-1]] if pixels else [],
        "choices": _spread(len(record.choices) for record in records),
        "facts": _spread(len(record.reasoning) for record in records),
        "asked_of_several_pictures": sum(count for count in worded.values() if count > 1),
        "with_evidence": sum(bool(record.evidence) for record in records),
    }


def _spread(numbers: Any) -> dict[str, int]:
    return {str(number): count for number, count in sorted(Counter(numbers).items())}


def _decoded(
    records: Sequence[QARecord],
) -> tuple[list[QARecord], list[tuple[str, str]], list[tuple[int, int]]]:
    """The records whose picture can be decoded, the others with the reason, and the size of each picture."""
    from tqdm import tqdm

    known: dict[str, tuple[int, int] | RecordError] = {}
    usable, damaged = [], []
    for record in tqdm(records, desc="Pictures", unit="record", disable=None, leave=False):
        sha = record.image.sha
        if sha not in known:
            try:
                known[sha] = record.image.open().size
            except RecordError as error:
                known[sha] = error
        size = known[sha]
        if isinstance(size, RecordError):
            damaged.append((record.id, str(size)))
        else:
            usable.append(record)
    return usable, damaged, [size for size in known.values() if not isinstance(size, RecordError)]


def _described(measured: dict[str, Any], provider: Any) -> list[str]:
    pixels = " / ".join(f"{number:,}" for number in measured["pixels"])
    shared = measured["asked_of_several_pictures"]
    return [
        f"{measured['records']:,} usable records on {measured['pictures']:,} different pictures"
        + (f", pixels least / median / most: {pixels}" if pixels else ""),
        f"choices a question: {_told(measured['choices'])}; facts a record: {_told(measured['facts'])}",
        f"questions asked word for word of another picture too: {shared:,}; records with evidence drawn: "
        f"{measured['with_evidence']:,}",
        "suites: " + ("acc and loc alone" if provider is None else f"made by {type(provider).__name__}"),
    ]


def _told(spread: dict[str, int]) -> str:
    return ", ".join(f"{number} ({count:,})" for number, count in spread.items()) or "none"


def _found(name: str, report: ReadReport, measured: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "source": report.source,
        "listed": report.listed,
        "kept": report.kept,
        "whole": report.whole,
        "notes": report.notes,
        "rules": {rule: count for rule, count in sorted(report.counts.items()) if count},
        "measures": measured,
        "reasons": dict(kinds(report.skipped)),
        "skipped": [{"record": record, "reason": reason} for record, reason in report.skipped],
    }
