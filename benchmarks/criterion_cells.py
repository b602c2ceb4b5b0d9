"""One cell of the criterion's grid: all edits with one key space, all questions asked; what cells share is kept.

Evidence does not depend on the key space, nor does the answer to a question on the facts put before it: both are
computed once, for all cells, and kept in the output folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from data_modules.records import Edit, Question, RecordError
from rv_edit.augment import RadiusEstimator
from rv_edit.codebook import Codebook
from rv_edit.editors.answering import Asking, Context, answer_questions, is_right
from rv_edit.editors.base import EditorContext
from rv_edit.editors.reasonedit import Crops, ReasonEdit
from rv_edit.editors.reasonedit_options import build
from rv_edit.editors.unedited import Unedited
from rv_edit.embedding import DualEmbedding, KeySpace, calibrate
from rv_edit.tasks.checks import check_options
from rv_edit.tasks.preparing import Scoring, prepare
from rv_edit.tasks.study import Study

CHUNK = 256


@dataclass(frozen=True)
class Cell:
    """A place of the grid."""

    layer: int
    lam: float

    @property
    def name(self) -> str:
        """Of its file."""
        return f"layer{self.layer}_lam{self.lam:g}"


class Kept:
    """A JSON-lines file of results by key, appended to after each cell; a damaged last line is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Any] = {}
        self.new: list[dict[str, Any]] = []
        for line in path.read_text().splitlines() if path.is_file() else ():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            self.rows[row["key"]] = row["value"]

    def put(self, key: str, value: Any) -> None:
        """Keep a result."""
        self.rows[key] = value
        self.new.append({"key": key, "value": value})

    def flush(self) -> None:
        """Write what is new."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in self.new)
        self.new = []


class Recalling(ReasonEdit):
    """ReasonEdit that finds the evidence of an edit once for all key spaces."""

    kept: Kept

    def crops(self, edit: Edit, image: Any) -> Crops:
        """From the file, or found now."""
        key = digest(edit.id, edit.image.sha, edit.reasoning)
        if key not in self.kept.rows:
            found = super().crops(edit, image)
            self.kept.put(key, {str(fact): [list(box) for box in boxes] for fact, boxes in found.items()})
        return {int(fact): tuple(tuple(box) for box in boxes) for fact, boxes in self.kept.rows[key].items()}


class Remembering:
    """An augmenter that draws each variant once: what a picture is, its seed says already."""

    def __init__(self, augmenter: Any) -> None:
        self.augmenter = augmenter
        self.drawn: dict[int, Any] = {}

    def __call__(self, image: Any, seed: int) -> Any:
        """The variant of ``image`` drawn by ``seed``."""
        if seed not in self.drawn:
            self.drawn[seed] = self.augmenter(image, seed)
        return self.drawn[seed]


class Bench:
    """A model and a data set with everything that its cells share.

    Args:
        cfg: the options of an edit run.
        study: model, data and networks, as ``task=topology`` has them.
        folder: where results are kept.
        layers: of the grid.
    """

    def __init__(self, cfg: DictConfig, study: Study, folder: Path, layers: Sequence[int]) -> None:
        options = check_options(cfg)
        self.study, self.vlm, self.folder = study, study.vlm, folder
        self.asking = Asking(**OmegaConf.to_container(cfg.scoring, resolve=True))
        settings: Any = OmegaConf.to_container(cfg.editor, resolve=True)
        settings = {name: value for name, value in settings.items() if name not in ("name", "_target_")}
        context = EditorContext(self.vlm, self.asking, study.sample, options.seed)
        self.template = build(context, **settings)
        self.template.embedding.text_encoder = study.encoder
        self.augmenter = Remembering(self.template.radii.augmenter)
        cache = None if cfg.cache is None else Path(cfg.cache).expanduser()
        scoring = Scoring(
            self.asking.normalize,
            self.asking.batch_size,
            cache,
            options.rounding,
            options.mine_limit,
            options.seed,
            options.statement,
            options.denied,
        )
        self.plan = prepare(study.data, self.vlm, Unedited(self.vlm, self.asking), options, scoring)
        self.questions = [question for asked in self.plan.questions.values() for question in asked]
        shared = [self.vlm.fingerprint, self.vlm.preprocessing, vars(self.asking)]
        self.evidence = Kept(folder / f"evidence_{digest(*shared, settings['evidence'])}.jsonl")
        self.answers = Kept(folder / f"answers_{digest(*shared)}.jsonl")
        self.spaces = {layer: self._space(layer) for layer in layers}
        self.pooled = self._look(layers)
        settings.pop("key_space")  # of the template alone
        asked = [question.id for question in self.questions]
        self.settings = {layer: digest(*shared, settings, asked, vars(space)) for layer, space in self.spaces.items()}

    def run(self, cell: Cell) -> dict[str, Any]:
        """The cell's answers: from its file where it has one of these settings, else computed and written."""
        path = self.folder / f"{cell.name}.json"
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text())
            if found["settings"] == self.settings[cell.layer]:
                return found
        started, spent = time.perf_counter(), time.process_time()
        editor = self._editor(replace(self.spaces[cell.layer], lam=cell.lam))
        refused = []
        for edit in self.plan.stream:
            try:
                editor.edit(edit)
            except RecordError:
                refused.append(edit.id)
        editor.calibrate(self.plan.unrelated)
        edited = time.perf_counter()
        contexts = self._contexts(editor, cell.layer)
        fresh = self._answer(contexts)
        asked = time.perf_counter()
        found = {
            "layer": cell.layer,
            "lam": cell.lam,
            "settings": self.settings[cell.layer],
            "edits": len(self.plan.stream) - len(refused),
            "keys": editor.num_keys,
            "refused": refused,
            "answers": [
                [question.suite, question.edit_id, self.answers.rows[answer_key(question, context)], context.accepted]
                for question, context in zip(self.questions, contexts, strict=True)
            ],
            "questions_asked_anew": fresh,
            "seconds": {
                "editing": edited - started,
                "asking": asked - edited,
                "processor": time.process_time() - spent,
            },
        }
        self.evidence.flush()
        self.answers.flush()
        write_json(path, found)
        return found

    def _space(self, layer: int) -> KeySpace:
        pooling, size = self.study.options.pooling, self.study.options.batch_size
        sample = self.study.sample
        return calibrate(self.vlm, self.study.encoder, sample, layer=layer, lam=1.0, pooling=pooling, batch_size=size)

    def _look(self, layers: Sequence[int]) -> dict[int, torch.Tensor]:
        """Every question's picture, pooled at every layer of the grid: one pass a picture for all cells."""
        pictures = {question.image.sha: question.image for question in self.questions}
        parts: dict[int, list[torch.Tensor]] = {layer: [] for layer in layers}
        shas = list(pictures)
        for start in range(0, len(shas), CHUNK):
            images = [pictures[sha].open() for sha in shas[start : start + CHUNK]]
            features = self.vlm.encode_images(images, pool_layers=layers, pool=self.study.options.pooling)
            for layer in layers:
                parts[layer].append(features.pooled[layer].cpu())
        place = {sha: index for index, sha in enumerate(shas)}
        rows = [place[question.image.sha] for question in self.questions]
        return {layer: torch.cat(found)[rows] for layer, found in parts.items()}

    def _editor(self, space: KeySpace) -> Recalling:
        made = self.template
        embedding = DualEmbedding(self.vlm, self.study.encoder, space)
        rules = {**vars(made.codebook.storing), **vars(made.codebook.retrieving)}
        radii = RadiusEstimator(embedding, self.augmenter, made.radii.variants, seed=made.radii.seed)
        editor = Recalling(
            embedding,
            Codebook(embedding.dim, embedding.fingerprint, **rules),
            radii,
            made.evidence,
            asking=self.asking,
            reasoning_keys=made.reasoning_keys,
            answer_template=made.answer_template,
            calibration_share=made.calibration_share,
        )
        editor.kept = self.evidence
        return editor

    def _contexts(self, editor: Recalling, layer: int) -> list[Context]:
        found: list[Context] = []
        for start in range(0, len(self.questions), CHUNK):
            part = slice(start, start + CHUNK)
            found += editor.contexts(self.questions[part], self.pooled[layer][part])
        return found

    def _answer(self, contexts: Sequence[Context]) -> int:
        """Ask what no cell has asked yet; how many questions that were."""
        wanted: dict[str, tuple[Question, Context]] = {}
        for question, context in zip(self.questions, contexts, strict=True):
            key = answer_key(question, context)
            if key not in self.answers.rows:
                wanted[key] = question, context
        # A question with several contexts would be told apart by nothing but its place, so it is given a name.
        named = {key: replace(question, id=key) for key, (question, _) in wanted.items()}
        asked = list(named.values())
        answers = answer_questions(
            self.vlm, asked, self.asking, lambda some, _: [Context(wanted[item.id][1].facts) for item in some], 0
        )
        for question, answer in zip(asked, answers, strict=True):
            self.answers.put(question.id, is_right(question, answer))
        return len(asked)


def answer_key(question: Question, context: Context) -> str:
    """What an answer depends on, once the model and its options are given."""
    return digest(question.image.sha, question.text, question.choices, question.target, context.facts)


def digest(*parts: Any) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:20]


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    staged.write_text(json.dumps(value) + "\n")
    os.replace(staged, path)
