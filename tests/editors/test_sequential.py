"""Sequential editing: a round of questions is what a plain loop over edits and questions finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger

from data_modules.probing import Probing
from data_modules.records import Edit, ImageRef
from data_modules.stream import EditStreamDataModule
from rv_edit.editors.callbacks import EditCheckpoint
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.editors.sequential import Point, SequentialModule
from tests.editors.conftest import make_edit, question
from tests.editors.stopping import Stopped, StopsBefore
from tests.editors.test_module import trainer

Maker = Callable[..., ReasonEdit]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PROBING = Probing(every=2, edits=2, seed=3)
EDITS = [make_edit(index, facts=1) for index in range(5)]
QUESTIONS = [edit.as_question() for edit in EDITS] + [question(index) for index in range(3)]
QUESTIONS += [replace(edit.as_question("t_gen"), id=f"{edit.id}/t", text=f"Say: {edit.question}") for edit in EDITS]


def drawn(done: int) -> set[str]:
    """The documented draw, written out."""
    order = np.random.default_rng([PROBING.seed, done]).permutation(done)
    return {EDITS[place].id for place in order[: PROBING.edits]}


def plain(editor: ReasonEdit, edits: list[Edit]) -> list[dict[str, Any]]:
    """Edit by edit, question by question."""
    found = []
    for made, edit in enumerate(edits, 1):
        editor.edit(edit)
        if made not in (2, 4, 5):
            continue
        right: dict[str, list[bool]] = {}
        accepted: dict[str, list[bool]] = {}
        for item in QUESTIONS:
            if item.edit_id is None or item.edit_id in drawn(made):
                (answer,) = editor.answer([item])
                right.setdefault(item.suite, []).append(answer.prediction == item.target)
                accepted.setdefault(item.suite, []).append(bool(answer.accepted))
        found.append(
            {
                "edits": made,
                "means": {suite: np.mean(marks) for suite, marks in right.items()},
                "asked": {suite: len(marks) for suite, marks in right.items()},
                "accepted": {suite: np.mean(marks) for suite, marks in accepted.items()},
                "keys": editor.num_keys,
                "nbytes": editor.nbytes,
            }
        )
    return found


def shown(curve: list[Point]) -> list[dict[str, Any]]:
    """A curve in the form of :func:`plain`."""
    found = []
    for point in curve:
        asked = {suite: figure["n"] for suite, figure in point.metrics.items() if figure["n"]}
        found.append(
            {
                "edits": point.edits,
                "means": {suite: pytest.approx(point.metrics[suite]["mean"]) for suite in asked},
                "asked": asked,
                "accepted": {suite: pytest.approx(point.accept_rate[suite]) for suite in asked},
                "keys": point.keys,
                "nbytes": point.nbytes,
            }
        )
    return found


def module(editor: ReasonEdit, edits: list[Edit] = EDITS) -> SequentialModule:
    return SequentialModule(editor, edits, 0, QUESTIONS, PROBING, batch_size=3)


def test_rounds_are_those_of_a_plain_loop(make_editor: Maker, tmp_path: Path) -> None:
    found = module(make_editor())
    trainer(tmp_path).fit(found, datamodule=EditStreamDataModule(EDITS))
    assert shown(found.curve) == plain(make_editor(), EDITS)
    assert [point.asked_edits for point in found.curve] == [2, 2, 2]
    seconds = [receipt.seconds for receipt in found.receipts]
    windows = [np.mean(seconds[:2]), np.mean(seconds[2:4]), seconds[4]]
    assert [point.seconds_per_edit for point in found.curve] == pytest.approx(windows)


def test_edits_that_are_asked_about_are_known_beforehand() -> None:
    ever = drawn(2) | drawn(4) | drawn(5)
    assert PROBING.ever_drawn(EDITS) == [edit for edit in EDITS if edit.id in ever]
    # going on with three edits in force: rounds after two further ones, which are all
    assert {edit.id for edit in PROBING.ever_drawn(EDITS, 3)} == drawn(5)


def test_a_refused_edit_is_not_asked_about(make_editor: Maker, tmp_path: Path) -> None:
    stream = list(EDITS)
    refused = next(place for place, edit in enumerate(EDITS) if edit.id in drawn(5))
    stream[refused] = replace(stream[refused], image=ImageRef.from_bytes(b"no picture"))
    found = module(make_editor(), stream)
    trainer(tmp_path).fit(found, datamodule=EditStreamDataModule(stream))
    assert found.refused and found.curve[-1].asked_edits == 1
    assert found.curve[-1].metrics["acc"]["n"] == 1 and found.curve[-1].metrics["loc"]["n"] == 3


@pytest.mark.parametrize("killed", [1, 2, 3, 4])
def test_interrupted_and_resumed_is_uninterrupted(make_editor: Maker, tmp_path: Path, killed: int) -> None:
    whole = module(make_editor())
    trainer(tmp_path).fit(whole, datamodule=EditStreamDataModule(EDITS))
    dying = trainer(tmp_path, EditCheckpoint(1, str(tmp_path)), StopsBefore(killed))
    with pytest.raises(Stopped):
        dying.fit(module(make_editor()), datamodule=EditStreamDataModule(EDITS))
    resumed, logger = module(make_editor()), CSVLogger(tmp_path, name="", version="csv")
    run: Trainer = trainer(tmp_path)
    run.logger = logger
    run.fit(resumed, datamodule=EditStreamDataModule(EDITS), ckpt_path=str(tmp_path / "last.ckpt"))
    assert [replace(point, seconds_per_edit=None) for point in resumed.curve] == [
        replace(point, seconds_per_edit=None) for point in whole.curve
    ]
    logger.save()
    lines = (tmp_path / "csv/metrics.csv").read_text().splitlines()
    at = lines[0].split(",").index("sequential/acc")
    assert len([line for line in lines[1:] if line.split(",")[at]]) == 3, "a resumed run's log lacks a round"


def test_a_figure_that_is_missing_is_not_logged_as_zero() -> None:
    point = Point(4, 2, {"acc": {"mean": 0.5}, "r_gen": {"mean": None}}, {"acc": None}, None, 3, 2048)
    assert point.figures() == {
        "sequential/edits": 4.0,
        "sequential/acc": 0.5,
        "sequential/keys": 3.0,
        "sequential/kb": 2.0,
    }
