"""Data sets on disk as :class:`DataBundle`: what ``dataset=aokvqa`` and ``dataset=fvqa`` instantiate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_modules.aokvqa import read_aokvqa
from data_modules.bundle import DataBundle
from data_modules.fvqa import read_fvqa
from data_modules.qa_record import ReadReport
from data_modules.records import RecordError


def load_aokvqa(root: str | Path | None, name: str = "aokvqa", **options: Any) -> DataBundle:
    """A-OKVQA as its authors publish it; ``options`` go to :func:`read_aokvqa`. No generated suites.

    Raises:
        RecordError: ``root`` is missing or holds no usable record.
    """
    report = ReadReport()
    return DataBundle(read_aokvqa(_folder(root, name), report=report, **options), None, report, name)


def load_fvqa(root: str | Path | None, name: str = "fvqa", **options: Any) -> DataBundle:
    """FVQA as its authors publish it; ``options`` go to :func:`read_fvqa`. No generated suites.

    Raises:
        RecordError: ``root`` is missing or holds no usable record.
    """
    report = ReadReport()
    return DataBundle(read_fvqa(_folder(root, name), report=report, **options), None, report, name)


def _folder(root: str | Path | None, name: str) -> Path:
    if root is None:
        raise RecordError(f"dataset={name} needs dataset.root=<folder that holds the data set>")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise RecordError(f"dataset.root={root}: no such folder")
    return folder
