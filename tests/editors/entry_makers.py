"""GRACE and BalancEdit on a tiny model, trained just long enough to be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from data_modules.records import Answer
from rv_edit.editors.answering import Asking
from rv_edit.editors.balancedit import BalancEdit
from rv_edit.editors.entry_editor import EntryEditor
from rv_edit.editors.grace import Grace
from rv_edit.editors.rephrasing import Rephraser
from rv_edit.editors.value_training import Schedule
from rv_edit.vlm import VLM

ASKING = Asking(batch_size=4, image_batch_size=3)
NARROW = 1e-2
"""A radius that holds nothing but an edit's own question, on the tiny models."""


def grace(vlm: VLM, epsilon: float = NARROW, steps: int = 25, lr: float = 0.3, **options: Any) -> Grace:
    schedule = Schedule(lr=lr, steps=steps, least_steps=min(10, steps))
    return Grace(vlm, epsilon, schedule, **{"asking": ASKING, "start": "warm", **options})


def balancedit(vlm: VLM, steps: int = 25, lr: float = 0.1, **options: Any) -> BalancEdit:
    schedule = Schedule(lr=lr, steps=steps, least_steps=min(10, steps), eps=1e-4)
    frames = ("Say: {question}", "{question} Tell me.")
    return BalancEdit(vlm, Rephraser(vlm, frames=frames), schedule, **{"asking": ASKING, "alpha": 0.0, **options})


MAKERS: dict[str, Callable[..., EntryEditor]] = {"grace": grace, "balancedit": balancedit}


def scores(answers: list[Answer]) -> np.ndarray:
    return np.concatenate([answer.scores for answer in answers])
