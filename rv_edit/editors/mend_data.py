"""What MEND's transforms are trained on, and the file that keeps them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors

from data_modules.records import ImageRef, Question, RecordError
from rv_edit.editors import last_block
from rv_edit.editors.answering import answer_questions, is_right
from rv_edit.editors.mend_block import DeltaBlock
from rv_edit.editors.mend_network import Transforms
from rv_edit.editors.mend_training import Episode, MetaTraining, NetworkOptions, fit
from rv_edit.editors.weights import target_of
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from data_modules.qa_record import QARecord
    from rv_edit.editors.base import EditorContext
    from rv_edit.editors.last_block import Trace
    from rv_edit.vlm import Target

log = logging.getLogger(__name__)

SCHEMA = 1
"""Raised whenever the same options give other transforms."""
REWORDINGS = 20
"""Draws after which a question is taken to have no other words."""


def trained(
    context: EditorContext, network: NetworkOptions, options: MetaTraining, target: str, folder: Path | None
) -> Transforms:
    """Transforms for this model, data and target: those in ``folder``, or trained now and written there.

    Raises:
        ConfigError: no data to train on, or none of its questions is answered wrong.
    """
    vlm = context.vlm
    transforms = Transforms(DeltaBlock(vlm).shapes, **asdict(network), seed=context.seed)
    path = None if folder is None else folder / f"{_key(context, network, options, target)}.safetensors"
    if path is not None and _read(path, transforms):
        log.info("MEND: transforms from %s", path)
        return transforms.to(vlm.device)
    fit(vlm, transforms.to(vlm.device), episodes(context, options, target), options, context.seed)
    transforms.to(vlm.device)  # Lightning leaves them on the CPU
    if path is not None:
        _write(path, transforms)
    return transforms


def episodes(context: EditorContext, options: MetaTraining, target: str) -> list[Episode]:
    """An episode for each error of the model among the first ``options.questions`` readable records.

    Raises:
        ConfigError: no data, no error, or nothing that the model has right.
    """
    if options.data is None:
        raise ConfigError("editor=mend is trained on records that no run edits: give dataset.tuning, or another editor")
    records = _readable(options.data().records, options.questions)
    asked: list[Question] = [record.as_question() for record in records]
    answers = answer_questions(context.vlm, asked, context.asking)
    right = [is_right(question, answer) for question, answer in zip(asked, answers, strict=True)]
    wrong = [record for record, good in zip(records, right, strict=True) if not good][: options.edits]
    known = [record for record, good in zip(records, right, strict=True) if good]
    if not wrong or not known:
        raise ConfigError(f"editor=mend: of {len(records)} questions in dataset.tuning {len(known)} are answered right")
    log.info("MEND: %d of %d questions of the tuning data are answered wrong", right.count(False), len(records))
    block = DeltaBlock(context.vlm)
    made = []
    for index, record in enumerate(wrong):
        edit, other = record.as_edit(), known[index % len(known)]
        says = target_of(target, edit)
        feats = context.vlm.encode_images([edit.image.open()])
        inner, reworded = _traces(context, feats, [edit.question, _reworded(record, options)], says)
        (unrelated,) = _traces(context, _look(context, other.image), [other.question], other.answer)
        made.append(Episode(block.factors(inner), reworded, unrelated))
    return made


def _traces(context: EditorContext, feats: Any, questions: Sequence[str], says: Target) -> list[Trace]:
    prompts = [context.vlm.format_prompt(question) for question in questions]
    return last_block.trace(context.vlm, feats.pick([0] * len(prompts)), prompts, [says] * len(prompts))


def _look(context: EditorContext, image: ImageRef) -> Any:
    return context.vlm.encode_images([image.open()])


def _readable(records: Sequence[QARecord], count: int) -> list[QARecord]:
    found: list[QARecord] = []
    for record in records:
        if len(found) == count:
            break
        try:
            record.image.open()
        except RecordError:
            continue
        found.append(record)
    return found


def _reworded(record: QARecord, options: MetaTraining) -> str:
    """Its question in other words, where there are any."""
    if options.rewording is None:
        return record.question
    from hydra.utils import get_method

    reword = get_method(options.rewording)
    drawn = (str(reword(record, seed)) for seed in range(REWORDINGS))
    return next((text for text in drawn if text != record.question), record.question)


def _key(context: EditorContext, network: NetworkOptions, options: MetaTraining, target: str) -> str:
    """Hash of all that the transforms depend on."""
    vlm, data = context.vlm, options.data
    source = [data.func.__module__, data.func.__qualname__, data.keywords] if isinstance(data, partial) else repr(data)
    parts = {
        "schema": SCHEMA,
        "model": [vlm.fingerprint, vlm.preprocessing, asdict(vlm.prompts.style)],
        "asking": context.asking.normalize,
        "network": asdict(network),
        "training": asdict(replace(options, data=None)),
        "data": source,
        "target": target,
        "seed": context.seed,
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _read(path: Path, transforms: Transforms) -> bool:
    """Take up what the file holds; a damaged one is made anew."""
    try:
        transforms.load_state_dict(safetensors.load(path.read_bytes()))
    except FileNotFoundError:
        return False
    except (OSError, SafetensorError, RuntimeError) as error:
        log.warning("MEND: %s cannot be used (%s); trained anew", path, str(error).splitlines()[0])
        return False
    return True


def _write(path: Path, transforms: Transforms) -> None:
    """Keep them; where that is not possible the next run trains again."""
    pending = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.cpu().contiguous() for name, tensor in transforms.state_dict().items()}
        pending.write_bytes(safetensors.save(state))
        os.replace(pending, path)
    except OSError as error:
        pending.unlink(missing_ok=True)
        log.warning("MEND: %s cannot be written (%s); the next run trains again", path, error.strerror or error)
