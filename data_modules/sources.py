"""Data sets as :class:`DataBundle`: what the options ``dataset=…`` instantiate. Their sizes are checked here."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from data_modules.aokvqa import read_aokvqa, splits_of
from data_modules.aokvqa_hub import HUB, read_aokvqa_hub
from data_modules.bundle import DataBundle
from data_modules.fvqa import fold_size, read_fvqa
from data_modules.published import AOKVQA, FVQA, Size, aokvqa_command, compare, fvqa_command, hub_command
from data_modules.qa_record import ReadReport
from data_modules.records import RecordError


def load_aokvqa(
    root: str | Path | None,
    name: str = "aokvqa",
    split: str = "train+val",
    *,
    cache: str | Path | None = None,
    streaming: bool = True,
    **options: Any,
) -> DataBundle:
    """A-OKVQA from wherever it is: its authors' files, or the hub's copy of it. No generated suites.

    Args:
        root: folder with the original files and COCO's pictures, or with a copy of the hub's; ``None``: the hub.
        name: goes into results.
        split: ``train``, ``val`` or ``train+val``.
        cache: for the hub's, as for :func:`read_aokvqa_hub`.
        streaming: likewise.
        options: go to :func:`read_aokvqa`, or to the former.

    Raises:
        RecordError: there is nothing, nothing usable, or the hub cannot be reached.
    """
    if root is None or _is_hub_copy(folder_of(root, name)):
        return load_aokvqa_hub(root, name, split, cache=cache, streaming=streaming, **options)
    report, folder = ReadReport(), folder_of(root, name)
    records = read_aokvqa(folder, split, report=report, **options)
    compare(report, _aokvqa_size(split), aokvqa_command(folder))
    return DataBundle(records, None, report, name)


def load_aokvqa_hub(
    root: str | Path | None, name: str = "aokvqa", split: str = "train+val", **options: Any
) -> DataBundle:
    """A-OKVQA from the hub, or from a copy of that data set; ``options`` go to :func:`read_aokvqa_hub`.

    ``root`` is a folder with its parquet or arrow files; ``None``: the hub.

    Raises:
        RecordError: it cannot be reached or read, or holds no usable record.
    """
    report = ReadReport()
    source = HUB if root is None else str(folder_of(root, name))
    records = read_aokvqa_hub(source, split, report=report, **options)
    compare(report, _aokvqa_size(split), hub_command(HUB))
    return DataBundle(records, None, report, name)


def load_fvqa(
    root: str | Path | None, name: str = "fvqa", subset: str = "all", fold: int = 0, **options: Any
) -> DataBundle:
    """FVQA as its authors publish it; ``options`` go to :func:`read_fvqa`. No generated suites.

    Raises:
        RecordError: ``root`` is missing or holds no usable record.
    """
    report, folder = ReadReport(), folder_of(root, name)
    records = read_fvqa(folder, subset, fold, report=report, **options)
    expected = FVQA if subset == "all" else fold_size(subset, fold, report.listed)
    if expected is not None:
        compare(report, expected, fvqa_command(folder))
    return DataBundle(records, None, report, name)


def folder_of(root: str | Path | None, name: str) -> Path:
    """``root`` as a folder that is there.

    Raises:
        RecordError: it is not given, or there is no such folder.
    """
    if root is None:
        raise RecordError(f"dataset={name} needs dataset.root=<folder that holds the data set>; see docs/data.md")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise RecordError(f"dataset.root={root}: no such folder")
    return folder


def _aokvqa_size(split: str) -> Size:
    return reduce(add, (AOKVQA[name] for name in splits_of(split)))


def _is_hub_copy(folder: Path) -> bool:
    """Whether a folder holds the hub's tables: parquet files, or what ``save_to_disk`` wrote."""
    tables = (folder / "dataset_dict.json").is_file() or any(folder.glob("*.parquet"))
    return tables or any((folder / "data").glob("*.parquet"))
