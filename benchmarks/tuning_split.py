"""The questions on which options are searched: of the tuning split, those that no editor's own training has seen.

MEND's network is trained on errors among the first questions of that split (``editor.training.questions``). Trials are
made on the others, so that its figures are of questions that it never saw, like everybody's.
"""

from __future__ import annotations

from dataclasses import replace

from data_modules.bundle import DataBundle
from rv_edit.pocket.dataset import load as load_pocket

SEEN = 1500
"""``training.questions`` of ``conf/editor/mend.yaml``."""


def load(name: str, root: str | None = None, split: str = "tune", questions: int = 3000) -> DataBundle:
    """The tuning split without its first :data:`SEEN` readable questions, whichever split the options name."""
    bundle = load_pocket(name, root, "tune", questions)
    return replace(bundle, records=bundle.records[SEEN:], name=f"{bundle.name}_unseen")
