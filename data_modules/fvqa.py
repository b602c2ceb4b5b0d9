"""FVQA in the layout of its release: ``new_dataset_release/all_qs_dict_release.json``, ``images/``, ``Name_Lists/``.

A record's reasoning is its one supporting fact. Two extension fields of a record add to it, ``visual_link``
(sentences on what the picture shows, put first) and ``rationale`` (further sentences, in their order); a third,
``choices``, replaces the rule of :mod:`data_modules.fvqa_choices`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_modules.fvqa_choices import ChoiceRule, OpenQuestion, relation_of
from data_modules.fvqa_facts import TriplesFile, fact_sentence
from data_modules.published import FVQA_FOLDS, Size, fvqa_command, note_missing
from data_modules.qa_record import QARecord, ReadReport, clean_sentences, merge_choices
from data_modules.reading import ImageFolder, collect, first_existing, instead_of_data, load_json, text_of, texts_of
from data_modules.records import RecordError
from data_modules.text import as_sentence, clean_text

_CONSUMED = {"question_id", "question", "answer", "choices", "visual_link", "rationale"}


def read_fvqa(
    root: str | Path,
    subset: str = "all",
    fold: int = 0,
    *,
    distractors: int = 3,
    choice_seed: int = 0,
    check_images: bool = False,
    report: ReadReport | None = None,
) -> list[QARecord]:
    """Read the questions, in file order.

    Args:
        root: the release's folder, with ``new_dataset_release/`` and ``Name_Lists/`` (or their parent, where
            it is named ``fvqa``). The file of triples may have any name that speaks of triples; it is read only where
            a question does not state its fact.
        subset: ``all`` (the paper's pool), or ``train`` / ``test`` of a fold, told by picture.
        fold: which of the five ``Name_Lists``; of no meaning for ``all``.
        distractors: wrong choices derived for a record without a field ``choices``.
        choice_seed: seed of that derivation.
        check_images: decode every picture now instead of at first use.
        report: filled with what was kept, skipped, derived and merged.

    Raises:
        RecordError: unknown subset, a file missing or not JSON, or no usable record.
    """
    base = Path(root)
    report = ReadReport() if report is None else report
    report.source = report.source or f"FVQA {subset}" + ("" if subset == "all" else f" of fold {fold}")
    name = "all_qs_dict_release.json"
    path = first_existing(
        [base / "new_dataset_release" / name, base / name, base / "fvqa" / "new_dataset_release" / name],
        "FVQA questions",
        fvqa_command(base),
    )
    beside = [path.parent, path.parent.parent]
    folders = [place / name for place in beside for name in ("images", "Images")]
    folder = first_existing(folders, "FVQA pictures", fvqa_command(base))
    wanted = None if subset == "all" else _names(path, base, subset, fold)
    repeated: list[tuple[str, Any]] = []
    table = load_json(path, repeated)
    if not isinstance(table, dict):
        raise RecordError(f"{path}: a JSON object is expected, found {type(table).__name__}")
    pictures = ImageFolder(folder, check_images)
    triples = TriplesFile(path.parent)
    seen: set[str] = set()
    known = [_open_question(key, raw) for key, raw in table.items() if isinstance(raw, dict)]
    rule = ChoiceRule((question for question in known if question is not None), distractors, choice_seed)

    def items() -> Iterator[tuple[str, Any]]:
        for key, raw in [*table.items(), *((key, raw) for key, raw in repeated if key in table)]:
            known = isinstance(raw, dict)
            if wanted is None or not known or str(raw.get("img_file")) in wanted:
                if known:
                    seen.add(str(raw.get("img_file")))
                yield key, raw

    def parse(record_id: str, raw: dict[str, Any]) -> QARecord:
        question, answer = clean_text(text_of(raw, "question")), text_of(raw, "answer")
        if not raw.get("fact_surface"):
            raw = {**raw, "fact_surface": _surface(raw, triples)}
            report.counts["facts_from_triples"] += 1
        fact = fact_sentence(text_of(raw, "fact_surface"))
        image = pictures.find(text_of(raw, "img_file"))
        listed, widened = texts_of(raw, "choices"), False
        derived = not listed
        if derived:
            described = _open_question(record_id, raw)
            if described is None:  # the fields read above are texts; those that only the rule needs may not be
                raise RecordError("a field that the choices are derived from is not text; give 'choices', or mend it")
            drawn, widened = rule.choices(described)
            listed = list(drawn)
        choices, answer, merged = merge_choices(listed, answer)
        # A rationale that states the fact at a place of its own keeps it there.
        stated = [*texts_of(raw, "visual_link"), *texts_of(raw, "rationale"), fact]
        reasoning, _ = clean_sentences([as_sentence(sentence) for sentence in stated])
        report.counts["derived_choices"] += derived
        report.counts["widened_choice_pools"] += widened
        report.counts["merged_choices"] += bool(merged)
        report.counts["verbalised_triples"] += "[[" not in raw["fact_surface"] and raw["fact_surface"].startswith("(")
        extras = {key: value for key, value in raw.items() if key not in _CONSUMED}
        return QARecord(record_id, image, question, choices, answer, reasoning, extras)

    try:
        return collect(report.source, items(), parse, report)
    finally:
        report.pictures = len(seen)
        note_missing(report, f"pictures of {folder}", len(pictures.missing), fvqa_command(base))


def fold_size(subset: str, fold: int, listed: int) -> Size | None:
    """The published size of a part of a fold, ``None`` for what is none; only the pictures of folds are known."""
    sizes = FVQA_FOLDS.get(subset, ())
    return Size(listed, sizes[fold]) if 0 <= fold < len(sizes) else None


def _surface(raw: dict[str, Any], triples: TriplesFile) -> str:
    """The fact of a question that does not state it, by the id that it names.

    Raises:
        RecordError: no triples file has it.
    """
    for fact in texts_of(raw, "fact"):
        surface = triples.surface(fact)
        if surface is not None:
            return surface
    where = "there is no file of triples" if triples.path is None else f"{triples.path.name} does not have it"
    raise RecordError(f"field 'fact_surface' is missing, and {where}")


def _open_question(record_id: str, raw: dict[str, Any]) -> OpenQuestion | None:
    """What the choice rule needs of a record; ``None`` where a field is missing (the reader then skips it)."""
    keys = ("img_file", "answer", "ans_source", "visual_concept", "fact_surface", "kb_source")
    values = [raw.get(key, "") for key in keys]
    if not all(isinstance(value, str) for value in values) or not values[1].strip():
        return None
    image, answer, source, concept, surface, kb = values
    return OpenQuestion(record_id, image, answer, source, concept, relation_of(surface, kb))


def _names(path: Path, base: Path, subset: str, fold: int) -> set[str]:
    """Picture names of a fold."""
    if subset not in ("train", "test"):
        raise RecordError(f"subset '{subset}': FVQA has all, train, test")
    file = f"{subset}_list_{fold}.txt"
    folders = [base / "Name_Lists", path.parent.parent / "Name_Lists", path.parent / "Name_Lists"]
    if isinstance(fold, bool) or not isinstance(fold, int) or not 0 <= fold < len(FVQA_FOLDS[subset]):
        raise RecordError(f"fold {fold}: FVQA has folds 0 to {len(FVQA_FOLDS[subset]) - 1}")
    names = first_existing(
        [folder / file for folder in folders], f"FVQA name list {file} (subset=all needs none)", fvqa_command(base)
    )
    try:
        data = names.read_bytes()
        lines = data.decode().splitlines()
    except OSError as error:
        raise RecordError(f"{names}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise RecordError(f"{names}: not a text file; fetch it again") from error
    if (what := instead_of_data(data)) is not None:
        raise RecordError(f"{names}: {what}; fetch it again")
    return {line.strip() for line in lines if line.strip()}
