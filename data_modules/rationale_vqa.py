"""The authors' benchmark ``JJoy333/RationaleVQA``: A-OKVQA and FVQA with chains, rephrasings and rationale questions.

Its pictures are not in it: A-OKVQA's are COCO's of 2017, FVQA's those of its release, both named by paths on the
authors' machine. They are found below ``images`` by the ends of those paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from data_modules.bundle import DataBundle
from data_modules.published import FVQA, PAPER_AOKVQA, coco_command, compare, fvqa_command, hub_command, note_missing
from data_modules.qa_record import QARecord, ReadReport, clean_sentences, merge_choices
from data_modules.rationale_suites import RationaleSuites, key_of
from data_modules.rationale_tables import HUB, RationaleTables, chain_facts, choices_of, sentences
from data_modules.reading import ImageFolder, collect, text_of
from data_modules.records import ImageRef, RecordError
from data_modules.sources import folder_of
from data_modules.text import as_sentence, clean_text

REASONING = ("chain", "rationale")


def load_rationale_vqa(
    root: str | Path | None,
    images: str | Path | None,
    name: str = "rationale_vqa",
    subset: str = "aokvqa",
    split: str = "all",
    *,
    generated: str | Path | None = None,
    reasoning: str = "chain",
    conclusion: bool = False,
    model: str | None = None,
    rephrasings: int = 10,
    seed: int = 0,
    check_images: bool = False,
) -> DataBundle:
    """Read the questions and offer the authors' suites.

    Args:
        root: folder with the benchmark's files as on the hub; ``None``: from the hub.
        images: folder below which the pictures lie: ``val2017/…`` and ``train2017/…``, or FVQA's ``images``.
        name: goes into results.
        subset: ``aokvqa`` or ``fvqa``.
        split: ``all``, or splits joined by ``+``.
        generated: folder with the pictures made for the suites, as the authors' programs lay them out; ``None``: none,
            and only T-Gen can be asked.
        reasoning: the facts of an edit: ``chain`` (its sentences) or ``rationale`` (the human one).
        conclusion: keep the last sentence of a chain, which states the answer; the authors leave it out.
        model: whose scenes CoE-Gen has, as the benchmark names it; ``None``: CoE-Gen is not asked.
        rephrasings: most rephrasings a question.
        seed: of the order of the choices of rationale questions, whose right one stands first in the files.
        check_images: decode every picture now instead of at first use.

    Raises:
        RecordError: a file or column is missing, or there is no usable record.
    """
    if reasoning not in REASONING:
        raise RecordError(f"reasoning '{reasoning}': there are {', '.join(REASONING)}")
    if images is None:
        raise RecordError(f"dataset={name} needs dataset.images=<folder with the pictures>; see docs/data.md")
    pictures = PictureTree(folder_of(images, name), check_images)
    tables = RationaleTables(None if root is None else folder_of(root, name), subset)
    report = ReadReport(f"RationaleVQA {subset} {split}")
    if model is not None and model not in tables.models():
        raise RecordError(f"model '{model}': RationaleVQA has scenes of {', '.join(tables.models()) or 'none'}")
    suites = RationaleSuites(tables, generated, model=model, rephrasings=rephrasings, seed=seed)
    chains = {key_of(row, "uid"): row.get("reason") for row in tables.chains()} if reasoning == "chain" else {}
    seen: set[str] = set()

    def items() -> Iterator[tuple[str, Any]]:
        for part, row in tables.questions(split):
            seen.add(str(row.get("image_path")))
            yield key_of(row, "uid"), {**row, "split": part}

    def parse(record_id: str, raw: dict[str, Any]) -> QARecord:
        choices, answer, merged = merge_choices(choices_of(raw), text_of(raw, "answer"))
        facts = chain_facts(chains.get(record_id), conclusion)
        without = not facts
        stated, repeated = clean_sentences([as_sentence(fact) for fact in facts or sentences(raw.get("rationale"))])
        question = clean_text(text_of(raw, "question"))
        image = pictures.find(text_of(raw, "image_path"))
        report.counts["merged_choices"] += bool(merged)
        report.counts["duplicate_reasoning"] += bool(repeated)
        report.counts["without_a_chain"] += reasoning == "chain" and without
        extras = {"split": raw["split"], "rationale": raw.get("rationale"), "image_path": raw["image_path"]}
        extras |= suites.extras(record_id, raw)
        return QARecord(record_id, image, question, choices, answer, stated, extras)

    command = coco_command(Path(images).parent, "train") if subset == "aokvqa" else fvqa_command(Path(images))
    try:
        records = collect(report.source, items(), parse, report)
    finally:
        report.pictures = len(seen)
        note_missing(report, f"pictures below {images}", len(pictures.missing), command)
    if split == "all":
        compare(report, PAPER_AOKVQA if subset == "aokvqa" else FVQA, hub_command(HUB, tables.root))
    report.notes += suites.notes()
    return DataBundle(records, suites, report, f"{name}_{subset}" if name == "rationale_vqa" else name)


class PictureTree:
    """Pictures by the path that they have elsewhere: the longest end of it that lies below a folder.

    ``data/images/aokvqa/val2017/000000000009.jpg`` is found as ``val2017/000000000009.jpg``, say.
    """

    def __init__(self, folder: Path, check: bool = False) -> None:
        self.folder = folder
        self._tops = [folder, folder / "coco", folder / "new_dataset_release"]
        self._check = check
        self._folders: dict[Path, ImageFolder] = {}
        self._places: dict[str, Path | None] = {}
        self.missing: set[str] = set()

    def find(self, path: str) -> ImageRef:
        """The picture.

        Raises:
            RecordError: there is none, or (with ``check``) it cannot be decoded.
        """
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts:
            raise RecordError(f"picture name {path[:60]!r} is no path of a picture")
        parent = str(PurePosixPath(*parts[:-1])) if len(parts) > 1 else ""
        if parent not in self._places:
            self._places[parent] = self._place(parts[:-1])
        place = self._places[parent]
        if place is None:
            self.missing.add(path)
            raise RecordError(f"picture {path} is missing below {self.folder}")
        folder = self._folders.setdefault(place, ImageFolder(place, self._check))
        try:
            return folder.find(parts[-1])
        finally:
            if parts[-1] in folder.missing:
                self.missing.add(path)

    def _place(self, parts: tuple[str, ...]) -> Path | None:
        """The folder below ours that stands for ``parts`` elsewhere: the one that shares most of their last names."""
        for start in range(len(parts) + 1):
            for top in self._tops:
                for inside in ((), ("images",), ("Images",)):
                    place = top.joinpath(*parts[start:], *inside)
                    if place.is_dir() and _holds_pictures(place):
                        return place
        return None


def _holds_pictures(folder: Path) -> bool:
    return any(path.suffix.casefold() in (".jpg", ".jpeg", ".png") for path in folder.iterdir())
