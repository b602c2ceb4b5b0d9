"""Pocket A-OKVQA and pocket FVQA on disk, in the real schemas, read back by the readers of the real data sets.

A data set is written once into a cache folder (``$RV_EDIT_CACHE``, else ``~/.cache/rv_edit``) or into ``root``.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from data_modules.aokvqa import read_aokvqa
from data_modules.bundle import DataBundle
from data_modules.fvqa import read_fvqa
from data_modules.qa_record import ReadReport
from data_modules.records import RecordError
from rv_edit.pocket.cache import cache_folder
from rv_edit.pocket.drafts import draft_of, sweep
from rv_edit.pocket.judge import Fact
from rv_edit.pocket.provider import PocketSuites
from rv_edit.pocket.questions import PocketQuestion, make_question
from rv_edit.pocket.render import render_png

log = logging.getLogger(__name__)

VERSION = 1
"""Raised whenever the same arguments give other questions or pictures."""
AOKVQA_SPLITS = {"test": "val", "tune": "train"}
_RELATION_IDS = {
    "use": "/r/UsedFor",
    "material": "/r/MadeOf",
    "location": "/r/AtLocation",
    "maker": "/r/CreatedBy",
    "part": "/r/HasA",
    "ability": "/r/CapableOf",
    "origin": "/r/ComesFrom",
    "symbol": "/r/SymbolOf",
    "user": "/r/UsedBy",
    "care": "/r/ReceivesAction",
}


def load(
    name: str = "aokvqa", root: str | Path | None = None, split: str = "test", questions: int = 3000
) -> DataBundle:
    """Write the data set unless it is there, read it, and offer its suites.

    Args:
        name: ``aokvqa`` or ``fvqa``.
        root: folder of the data set; ``None``: in the cache.
        split: ``test`` or ``tune``, disjoint in scenes and facts.
        questions: size of the pool in which errors are mined.

    Raises:
        RecordError: unknown name or split, or the folder cannot be written.
    """
    if name not in ("aokvqa", "fvqa") or split not in AOKVQA_SPLITS:
        raise RecordError(f"pocket data set '{name}', split '{split}': there are aokvqa and fvqa, test and tune")
    folder = Path(root) if root is not None else cache_folder() / f"pocket_{name}_{split}_{questions}_v{VERSION}"
    sweep(folder)
    marker = folder / "pocket.json"
    wanted = {"name": name, "split": split, "questions": questions, "version": VERSION}
    if not marker.exists():
        log.info("drawing %s pictures, once: they are kept in %s", f"{questions:,}", folder)
        write(folder, name, split, questions)
    try:
        found = json.loads(marker.read_text())
    except (OSError, ValueError) as error:
        raise RecordError(f"{marker}: unreadable; delete {folder} and start again") from error
    if found != wanted:
        raise RecordError(f"{folder} holds the pocket data set {found}, not {wanted}; choose another dataset.root")
    report = ReadReport(source=f"pocket_{name} {split}")  # not the reader's name, which is that of the real data set
    if name == "aokvqa":
        records = read_aokvqa(folder, AOKVQA_SPLITS[split], report=report)
    else:
        records = read_fvqa(folder, report=report)
    return DataBundle(records, PocketSuites(), report, f"pocket_{name}" + ("" if split == "test" else f"_{split}"))


def write(folder: Path, name: str, split: str, questions: int) -> None:
    """Write a data set into a folder that is new or empty; a crash leaves nothing under its name."""
    try:
        if folder.exists() and any(folder.iterdir()):
            raise RecordError(f"dataset.root={folder} is neither empty nor a pocket data set; choose another folder")
    except OSError as error:
        raise RecordError(f"dataset.root={folder}: cannot be read ({error.strerror})") from error
    try:
        with draft_of(folder) as draft:
            made = [make_question(name, split, index) for index in range(questions)]
            (_write_aokvqa if name == "aokvqa" else _write_fvqa)(draft, split, made)
            marker = {"name": name, "split": split, "questions": questions, "version": VERSION}
            (draft / "pocket.json").write_text(json.dumps(marker))
    except OSError as error:
        if not (folder / "pocket.json").exists():  # not another process that was faster
            raise RecordError(f"dataset.root={folder}: cannot be written ({error.strerror})") from error


def _write_aokvqa(folder: Path, split: str, made: list[PocketQuestion]) -> None:
    real = AOKVQA_SPLITS[split]
    pictures = folder / "coco" / f"{real}2017"
    pictures.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for index, one in enumerate(made):
        (pictures / f"{index:012}.png").write_bytes(render_png(one.scene))
        rows.append(
            {
                "split": real,
                "image_id": index,
                "question_id": f"pocket-a-{split}-{index:06}",
                "question": one.text,
                "choices": list(one.choices),
                "correct_choice_idx": one.choices.index(one.answer),
                "direct_answers": [one.answer] * 10,
                "difficult_direct_answer": False,
                "rationales": list(one.sentences),
                "pocket": one.to_json(),
            }
        )
    (folder / f"aokvqa_v1p0_{real}.json").write_text(json.dumps(rows))


def _write_fvqa(folder: Path, split: str, made: list[PocketQuestion]) -> None:
    release = folder / "new_dataset_release"
    (release / "images").mkdir(parents=True)
    (folder / "Name_Lists").mkdir()
    rows, triples, names = {}, {}, []
    for index, one in enumerate(made):
        name = f"POCKET_{split}_{index:012}.png"
        (release / "images" / name).write_bytes(render_png(one.scene))
        fact = next(one for one in one.reasoning if isinstance(one, Fact))
        fact_id = f"pocket/{fact.kind}/{fact.relation}"
        surface = one.sentences[1].rstrip(".").replace(fact.value, f"[[{fact.value}]]", 1)
        both = surface if fact.kind in fact.value else surface.replace(fact.kind, f"[[{fact.kind}]]", 1)
        triples[fact_id] = {
            "KB": "conceptnet", "e1": fact.kind, "e2": fact.value, "e1_label": fact.kind, "e2_label": fact.value,
            "r": _RELATION_IDS[fact.relation], "surface": surface,
        }  # fmt: skip
        question_id = f"pocket-f-{split}-{index:06}"
        rows[question_id] = {
            "question_id": question_id,
            "question": one.text,
            "answer": one.answer,
            "ans_source": "image" if one.query.about == "which" else "kb",
            "img_file": name,
            "visual_concept": f"obj:{fact.kind}",
            "kb_source": "conceptnet",
            "fact": [fact_id],
            "fact_surface": both,
            "choices": list(one.choices),
            "visual_link": [one.sentences[0]],
            "pocket": one.to_json(),
        }
        names.append(name)
    (release / "all_qs_dict_release.json").write_text(json.dumps(rows))
    (release / "all_fact_triples_release.json").write_text(json.dumps(triples))
    for fold in range(5):  # by picture, as the release: folds differ in which fifth of the pictures is tested first
        test = [name for index, name in enumerate(names) if index % 2 == (fold % 2)]
        lists = {"test": test, "train": [name for name in names if name not in set(test)]}
        for part, listed in lists.items():
            (folder / "Name_Lists" / f"{part}_list_{fold}.txt").write_text("\n".join(listed) + "\n")
