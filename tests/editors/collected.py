"""Every editor of ``conf/editor``, built as a run builds it, on a tiny model; and which promise concerns which.

``python -m tests.editors.collected`` prints the page ``docs/editor_contract.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from rv_edit.cli import conf_dir
from rv_edit.editors.answering import Asking
from rv_edit.editors.base import Capabilities, Editor, EditorContext
from rv_edit.vlm import VLM, load_vlm
from tests.editors.conftest import picture

NAMES = tuple(sorted(path.stem for path in conf_dir().glob("editor/*.yaml")))

SMALL = {
    "evidence.grid": 2,
    "augment.variants": 2,
    "codebook.radius_factor": 0.1,
    "network.rank": 16,
    "network.step": 1e-2,
    "training.steps": 60,
    "training.least_steps": 10,
    "training.epochs": 3,
}
"""Options that make an editor quick, and its scope narrow enough to have an outside, set where it has them."""

NEEDS: dict[str, Callable[[Capabilities], bool]] = {
    "edits": lambda can: can.edits,
    "undo": lambda can: can.edits and can.undo,
    "same_on_ranks": lambda can: can.edits and can.shares_keys_across_ranks,
    "weights_stay": lambda can: can.edits and not can.changes_weights,
    "weights_return": lambda can: can.edits and can.changes_weights and can.undo,
    "scope": lambda can: can.edits and can.decides_scope,
    "nothing": lambda can: True,
}
"""What an editor must be able to do for a promise to concern it."""

PROMISES: dict[str, tuple[str, str]] = {}
"""Test -> what it needs, and the promise in words; filled by :func:`promise`."""


@cache
def capabilities(name: str) -> Capabilities:
    """What the editor of this name says it can do."""
    target = str(OmegaConf.load(conf_dir() / f"editor/{name}.yaml")["_target_"])
    found: Capabilities = get_class(target.rpartition(".")[0]).capabilities
    return found


def promise(needs: str, words: str) -> Callable[[Any], Any]:
    """A test of one promise, run once for each editor that it concerns."""

    def mark(test: Any) -> Any:
        PROMISES[test.__name__] = (needs, words)
        concerned = [name for name in NAMES if NEEDS[needs](capabilities(name))]
        return pytest.mark.parametrize("name", concerned)(test)

    return mark


@cache
def tiny_vlm(folder: str) -> VLM:
    """The tiny model, loaded once a process."""
    return load_vlm(folder)


def build(name: str, overrides: Sequence[str]) -> Editor:
    """The editor of this name, as ``python run.py editor=<name>`` would build it, but for :data:`SMALL`."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=[f"editor={name}", *overrides, "output=none"])
    for option, value in SMALL.items():
        if OmegaConf.select(cfg.editor, option) is not None:
            OmegaConf.update(cfg.editor, option, value)
    sample = [(picture(2000 + index), f"What is it, {index}?") for index in range(4)]
    context = EditorContext(tiny_vlm(cfg.model.vlm.name), Asking(batch_size=4, image_batch_size=3), sample)
    settings = OmegaConf.to_container(cfg.editor, resolve=True)
    assert isinstance(settings, dict)
    settings.pop("name")
    editor: Editor = instantiate(settings, context, _convert_="all")
    return editor


def cells() -> list[tuple[str, str, bool]]:
    """(test, editor, whether the promise concerns it) for every test and editor."""
    return [(test, name, NEEDS[needs](capabilities(name))) for test, (needs, _) in PROMISES.items() for name in NAMES]


def page() -> str:
    """``docs/editor_contract.md``."""
    concerned = {(test, name): yes for test, name, yes in cells()}
    lines = [
        "# What every editor promises",
        "",
        "Each cell is a test of `tests/editors/test_every_editor.py` on a tiny model; `–` where an editor says that it",
        "does not do that (`capabilities` of its class), and then refuses it in words. Made by",
        "`python -m tests.editors.collected > docs/editor_contract.md`.",
        "",
        f"| promise | {' | '.join(NAMES)} |",
        f"| --- |{' --- |' * len(NAMES)}",
    ]
    for test, (_, words) in PROMISES.items():
        marks = ["yes" if concerned[test, name] else "–" for name in NAMES]
        lines.append(f"| {words} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from tests.editors import collected, test_every_editor  # noqa: F401  fills the table

    print(collected.page(), end="")
