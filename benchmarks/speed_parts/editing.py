"""ReasonEdit on the embedded model as a run builds it, and codebooks filled with made-up edits for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from benchmarks.speed_parts.common import WEIGHTS, questions_of
from rv_edit.cli import conf_dir
from rv_edit.codebook import Codebook
from rv_edit.codebook.entries import make_entries
from rv_edit.codebook.pairs import PairDistances, histogram
from rv_edit.codebook.search import blocks, distances
from rv_edit.editors.answering import Asking
from rv_edit.editors.base import EditorContext
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.editors.reasonedit_options import build
from rv_edit.vlm import load_vlm


def reasonedit(name: str, *overrides: str) -> ReasonEdit:
    """The editor with the options of ``conf/``, on a model of the embedded world."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=["model=pocket_llava", "editor=reasonedit", *overrides])
    vlm = load_vlm(f"{WEIGHTS}/{name}")
    asking = Asking(**OmegaConf.to_container(cfg.scoring, resolve=True))  # type: ignore[arg-type]
    settings: Any = OmegaConf.to_container(cfg.editor, resolve=True)
    settings = {key: value for key, value in settings.items() if key not in ("name", "_target_")}
    settings["key_space"] = f"{WEIGHTS}/{name}/key_space.json"
    sample = [(question.image, question.text) for question in questions_of(64)]
    return build(EditorContext(vlm, asking, sample, seed=0), **settings)


def known_keys(editor: ReasonEdit, count: int) -> tuple[Tensor, list[str]]:
    """Keys of real pictures and questions, and a sentence that answers each: what made-up keys are drawn around."""
    asked = questions_of(count, skip=64)
    keys = editor.embedding.keys([item.image.open() for item in asked], [item.text for item in asked], exact=False)
    sentences = [editor.answer_template.format(question=q.text, answer=q.choices[q.target]) for q in asked]
    return keys, sentences


def fill(book: Codebook, edits: int, entries: int, around: Tensor, sentences: list[str], radius: float) -> None:
    """Put ``edits`` made-up edits of ``entries`` entries into an empty codebook, none merged.

    Keys lie around given ones, with as much noise as these are apart from their mean. Written straight into the
    codebook: going through :meth:`Codebook.insert` would give the same one after hours. Of a large codebook the pairs
    of two hundred keys with all keys stand for all pairs.
    """
    count, generator = edits * entries, torch.Generator().manual_seed(0)
    spread = float((around - around.mean(0)).std())
    rows = torch.randint(len(around), (count,), generator=generator)
    keys = torch.empty(count, around.shape[1], dtype=torch.float16)
    for part in blocks(count, around.shape[1]):
        noise = torch.randn(part.stop - part.start, around.shape[1], generator=generator) * spread
        keys[part] = (around[rows[part]] + noise).half()
    kinds = ["answer", *["reasoning"] * (entries - 1)]
    for number in range(edits):
        span = slice(number * entries, (number + 1) * entries)
        texts = [f"{sentences[row]} ({number})" for row in rows[span].tolist()]
        made = make_entries(f"made-{number}", texts, kinds, None)
        at = book.ledger.append(made, keys[span], torch.full((entries,), radius), book.rooms.join)
        book.ledger.placed += ["new"] * entries
        for position in at:
            book.ledger.add_key((position,))
            book.ledger.stand_by(position)
    book.keys, book.radii = keys, torch.full((count,), radius)
    book.counts = torch.ones(count, dtype=torch.int32)
    exact = book.retrieving.exact_keys
    counts = None if count <= exact else sampled_counts(keys, 200)
    book.changed(PairDistances.of(keys, exact, counts))


def sampled_counts(keys: Tensor, sample: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A histogram with as many counts as there are pairs, in the proportions of some keys' distances to all."""
    chosen = torch.randperm(len(keys), generator=torch.Generator().manual_seed(1))[:sample]
    counts = histogram(np.zeros(0))
    for rows in blocks(len(keys), 16 * keys.shape[1]):
        counts += histogram(distances(keys[rows], keys[chosen]).numpy().ravel())
    counts[0] -= len(chosen)  # a key's distance to itself
    pairs = len(keys) * (len(keys) - 1) // 2
    whole = np.floor(counts * (pairs / counts.sum())).astype(np.int64)
    whole[whole.argmax()] += pairs - whole.sum()
    return whole
