"""The files of the authors' benchmark ``JJoy333/RationaleVQA``: where each table lies and what its columns hold.

Names and layouts follow the authors' published loader (github.com/JiaxingQiu/reasonedit), not the files themselves,
which could not be opened here. They are checked at first use, and a difference is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_modules.hub_errors import first_line, hub_reason
from data_modules.hub_tables import HubTable, Row
from data_modules.published import hub_command
from data_modules.records import RecordError

HUB = "JJoy333/RationaleVQA"
SUBSETS = {"aokvqa": "AOKVQA", "fvqa": "FVQA"}
"""The two data sets, and their folders."""
SPLITS = ("train", "val", "test")

QUESTIONS = {
    "uid": "text",
    "image_path": "text",
    "question": "text",
    "answer": "text",
    "rationale": "text",
    "choices": "texts joined by ';'",
    "idx_choices": "lines '(A) text'",
}
CHAINS = {"uid": "text", "reason": "sentences"}
REPHRASINGS = {"uid": "text", "variants": "list of texts"}
CAPTIONS = {"image_path": "text", "image_info_id": "text", "caption": "text"}
RATIONALE_QUESTIONS = {
    "uid": "text",
    "sid": "text",
    "question": "text",
    "answers": "texts joined by '|', the right one first",
    "rationale": "sentences",
}
SCENARIOS = {"uid": "text", "indices": "whole numbers joined by ','", "scenario_1": "text"}

_LETTERED = re.compile(r"^\s*\(([A-Z])\)\s*(.+?)\s*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class RationaleTables:
    """The tables of one of the two data sets.

    Args:
        root: folder with the benchmark's files as on the hub; ``None``: they are fetched into the hub's cache.
        subset: ``aokvqa`` or ``fvqa``.

    Raises:
        RecordError: an unknown subset, no such folder, or the hub cannot be reached.
    """

    def __init__(self, root: Path | None, subset: str) -> None:
        if subset not in SUBSETS:
            raise RecordError(f"subset '{subset}': RationaleVQA has {', '.join(SUBSETS)}")
        self.subset = subset
        self.root = _fetch(subset) if root is None else root

    def questions(self, split: str) -> list[tuple[str, Row]]:
        """The rows of the splits that ``split`` names, each with its split; ``all``: of every split that is there.

        Raises:
            RecordError: unknown split, no such file, or other columns than expected.
        """
        folder = self.root / SUBSETS[self.subset]
        names = list(SPLITS) if split == "all" else split.split("+")
        unknown = [name for name in names if name not in SPLITS]
        if unknown:
            raise RecordError(f"split '{split}': RationaleVQA has all, {', '.join(SPLITS)}, joined by '+'")
        paths = {name: folder / f"{name}.parquet" for name in names}
        if split == "all":
            paths = {name: path for name, path in paths.items() if path.is_file()}
        if not paths:
            raise RecordError(f"{folder}: no {', '.join(f'{name}.parquet' for name in SPLITS)} in it; {self._get()}")
        return [(name, row) for name, path in paths.items() for row in self._read(path, QUESTIONS)]

    def chains(self) -> list[Row]:
        """A chain of sentences for each question."""
        return self._read(self.root / "r_gen" / "cot" / f"{self.subset}.parquet", CHAINS)

    def rephrasings(self) -> list[Row]:
        """Each question in other words."""
        return self._optional(self.root / "t_gen" / f"{self.subset}.parquet", REPHRASINGS)

    def captions(self) -> list[Row]:
        """What pictures for I-Gen were made from; several rows a picture, of which the first counts."""
        return self._optional(self.root / "i_gen" / f"{self.subset}.parquet", CAPTIONS)

    def rationale_questions(self) -> list[Row]:
        """A question on each run of neighbouring sentences of a chain (the paper says: on each subset)."""
        return self._optional(self.root / "r_gen" / "qa" / f"{self.subset}.parquet", RATIONALE_QUESTIONS)

    def scenarios(self, model: str | None) -> list[Row]:
        """Scenes that show what a model got wrong; none without a model."""
        if model is None:
            return []
        return self._optional(self.root / "coe_gen" / "lite" / f"{model}_{self.subset}.parquet", SCENARIOS)

    def models(self) -> list[str]:
        """The models that there are scenes for."""
        ending = f"_{self.subset}.parquet"
        return sorted(path.name.removesuffix(ending) for path in (self.root / "coe_gen" / "lite").glob(f"*{ending}"))

    def _optional(self, path: Path, columns: Mapping[str, str]) -> list[Row]:
        return self._read(path, columns) if path.is_file() else []

    def _read(self, path: Path, columns: Mapping[str, str]) -> list[Row]:
        if not path.is_file():
            raise RecordError(f"{path}: no such file; {self._get()}")
        return list(HubTable(str(path), "all", columns).rows())

    def _get(self) -> str:
        return f"get it: {hub_command(HUB, self.root)}"


def choices_of(row: Row) -> list[str]:
    r"""The choices of a question: a list as it is, the lettered lines, or else the joined text.

    >>> choices_of({"idx_choices": "(A) cab\n(B) bus; coach", "choices": "cab; bus; coach"})
    ['cab', 'bus; coach']
    """
    if isinstance(row.get("choices"), (list, tuple)):
        return [text.strip() for text in row["choices"] if isinstance(text, str) and text.strip()]
    lettered = [text for _, text in _LETTERED.findall(str(row.get("idx_choices") or ""))]
    if len(lettered) >= 2:
        return lettered
    return [text.strip() for text in str(row.get("choices") or "").split(";") if text.strip()]


def chain_facts(reason: Any, conclusion: bool) -> list[str]:
    """The facts of a chain: its sentences, without the last, which states the answer; of a text or a list of texts.

    >>> chain_facts("The image shows a cab. Cabs are yellow. So it is a cab.", conclusion=False)
    ['The image shows a cab.', 'Cabs are yellow.']
    """
    listed = reason if isinstance(reason, (list, tuple)) else [reason]
    facts = [sentence for part in listed for sentence in sentences(part)]
    return facts if conclusion else facts[:-1]


def sentences(text: Any) -> list[str]:
    """The sentences of a text; of anything else none.

    >>> sentences("It is. So there."), sentences(None)
    (['It is.', 'So there.'], [])
    """
    return [part.strip() for part in _SENTENCE_END.split(text.strip()) if part.strip()] if isinstance(text, str) else []


def _fetch(subset: str) -> Path:
    """The tables of a data set in the hub's cache."""
    from huggingface_hub import snapshot_download

    wanted = [f"{SUBSETS[subset]}/*.parquet", "*_gen/**/*.parquet", "*_gen/*.parquet"]
    try:
        return Path(snapshot_download(HUB, repo_type="dataset", allow_patterns=wanted))
    except Exception as error:  # the hub's client raises kinds of its own, of its transport and of the system
        if (reason := hub_reason(error, HUB, dataset=True)) is not None:
            raise RecordError(f"{HUB}: {reason}") from error
        raise RecordError(
            f"{HUB}: the hub cannot be reached ({first_line(error)}); on a machine with network: "
            f"{hub_command(HUB)}, or give a copy with dataset.root=<folder>"
        ) from error
