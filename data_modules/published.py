"""How much each published data set holds, and the commands that get its files.

A-OKVQA's ``val`` and ``test`` and all of FVQA were counted in the files; A-OKVQA's ``train`` is as it is reported.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from data_modules.qa_record import ReadReport


@dataclass(frozen=True)
class Size:
    """Questions, and the different pictures they are about."""

    questions: int
    pictures: int

    def __add__(self, other: Size) -> Size:
        return Size(self.questions + other.questions, self.pictures + other.pictures)


AOKVQA = {"train": Size(17_056, 16_540), "val": Size(1_145, 1_122), "test": Size(6_702, 6_030)}
"""By split; no picture lies in two splits."""
FVQA = Size(5_826, 2_190)
FVQA_FOLDS = {"train": (1090, 1087, 1091, 1091, 1088), "test": (1100, 1103, 1099, 1099, 1102)}
"""Pictures of each of the five folds; a fold's two parts are the 2,190 pictures."""
PAPER_AOKVQA = Size(18_195, 17_656)
"""The pool of ReasonEdit: ``train+val`` without six questions, for a reason that is not stated."""


def aokvqa_command(root: Path) -> str:
    """Gets the annotations of all splits."""
    address = "https://prior-datasets.s3.us-east-2.amazonaws.com/aokvqa/aokvqa_v1p0.tar.gz"
    return f"mkdir -p {_quoted(root)} && curl -fsSL {address} | tar xz -C {_quoted(root)}"


def coco_command(root: Path, split: str) -> str:
    """Gets the pictures of a split; ``curl -C -`` goes on with a download that was cut off."""
    name = f"{split}2017.zip"
    return f"curl -fL -C - -O http://images.cocodataset.org/zips/{name} && unzip -nq {name} -d {_quoted(root / 'coco')}"


def captions_command(folder: Path) -> str:
    """Gets COCO's captions of both splits, ``captions_train2017.json`` and ``captions_val2017.json``."""
    name = "annotations_trainval2017.zip"
    place = _quoted(folder)
    return (
        f"curl -fL -C - -O http://images.cocodataset.org/annotations/{name} && "
        f"unzip -nqj {name} 'annotations/captions_*.json' -d {place}"
    )


def fvqa_command(root: Path) -> str:
    """Gets questions, facts and pictures."""
    address = "'https://www.dropbox.com/s/iyz6l7jhbt6jb7q/new_dataset_release.zip?dl=1'"
    return f"curl -fL -C - -o fvqa.zip {address} && unzip -nq fvqa.zip -d {_quoted(root)}"


def hub_command(name: str, root: Path | None = None) -> str:
    """Gets a data set of the hub, into ``root`` or into the hub's own cache."""
    place = "" if root is None else f" --local-dir {_quoted(root)}"
    return f"hf download {shlex.quote(name)} --repo-type dataset{place}"


def compare(report: ReadReport, expected: Size, command: str) -> None:
    """Note whether the files hold as much as was published.

    Args:
        report: its ``listed`` and ``pictures`` are compared; ``notes`` and ``whole`` are set.
        expected: what was published.
        command: gets what is missing.
    """
    found = Size(report.listed, report.pictures)
    report.whole = found == expected
    said = f"{found.questions:,} questions on {found.pictures:,} pictures"
    if report.whole:
        report.notes.append(f"{said}, as published")
    else:
        report.notes.append(
            f"{said}, but {expected.questions:,} on {expected.pictures:,} were published; if that is no part on "
            f"purpose, get it anew: {command}"
        )


def note_missing(report: ReadReport, what: str, missing: int, command: str) -> None:
    """Note how many pictures are missing, if any are."""
    if missing:
        report.notes.append(f"{what}: {missing:,} missing; get them: {command}")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
