"""Edits on a disk: a restart finds them byte for byte, and nothing that could not be written is seen."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from data_modules.records import RecordError
from rv_edit import EditedVLM
from rv_edit.app.errors import RequestError
from rv_edit.app.keeper import Keeper
from rv_edit.app.pictures import decode_picture
from rv_edit.errors import ConfigError
from tests.api.conftest import COLOURS, say
from tests.app.conftest import settings
from tests.editors.conftest import picture


@pytest.fixture
def open_keeper(loaded: EditedVLM, tmp_path: Path) -> Any:
    opened: list[Keeper] = []

    def make(vlm: EditedVLM | None = None) -> Keeper:
        opened.append(Keeper(vlm or EditedVLM(loaded.state, loaded.base), tmp_path / "data"))
        return opened[-1]

    yield make
    for keeper in opened:
        if keeper.journal._broken != "it is closed":
            keeper.close()


def make(keeper: Keeper, index: int, answer: str | None = None, **options: Any) -> Any:
    limits = settings(Path("x")).limits
    shown = decode_picture(picture(index).data or b"", limits)
    said = answer or COLOURS[index % 4]
    facts = [f"Lamp {index} is a lamp.", f"Lamp {index} is {said}."]
    crops = {0: [(0, 0, 18, 18)], 1: [(18, 0, 36, 36)]}
    given = {"author": "Ada", "edit_id": None, "on_conflict": "newest", **options}
    return keeper.edit(shown, f"What colour is lamp {index}?", said, facts, crops, **given)


def test_a_restart_finds_everything_byte_for_byte(open_keeper: Any, loaded: EditedVLM) -> None:
    keeper = open_keeper()
    ids = [make(keeper, index).made.id for index in range(4)]
    keeper.undo(ids[1])
    keeper.amend(ids[0], "Lamp 0 hangs.", [(0, 18, 18, 36)], "Bob")
    make(keeper, 2, "green")
    before = keeper.vlm.state
    keeper.close()
    again = open_keeper()
    assert again.vlm.state.editor.checksum() == before.editor.checksum()
    assert again.vlm.edits == keeper.vlm.edits and again.torn is None and again.vlm.state.version == before.version
    again.amend(ids[3], "Lamp 3 hangs.", [(0, 18, 18, 36)], "")
    assert again.get(ids[3]).reasoning[-1] == "Lamp 3 hangs.", "the picture was kept"
    plain = EditedVLM(loaded.state, loaded.base)
    say(plain, 3)
    assert plain.state.stored(ids[3]).id == ids[3], "ids are made of what is stated, here and there"


def test_the_same_edit_again_is_made_once(open_keeper: Any) -> None:
    keeper = open_keeper()
    first = make(keeper, 1, edit_id="mine")
    size, version = keeper.journal.size, keeper.vlm.state.version
    again = make(keeper, 1, edit_id="mine")
    assert again.repeated and not first.repeated and again.made == first.made
    assert (keeper.journal.size, keeper.vlm.state.version) == (size, version)
    with pytest.raises(RequestError, match="another edit's") as caught:
        make(keeper, 2, edit_id="mine")
    assert caught.value.status == 409 and keeper.vlm.state.version == version


def test_a_fact_again_is_stated_once_and_the_edit_stays_the_same(open_keeper: Any) -> None:
    """Who does not know whether something arrived sends it again, also after somebody else added a fact."""
    keeper = open_keeper()
    plain, named = make(keeper, 1).made.id, make(keeper, 2, edit_id="mine").made.id
    keeper.amend(plain, "Lamp 1 hangs.", [(0, 18, 18, 36)], "Bob", 3)
    size, checksum = keeper.journal.size, keeper.vlm.state.editor.checksum()
    for outcome in (keeper.amend(plain, " Lamp 1  hangs.", [], "Bob", 3), make(keeper, 1)):
        assert outcome.repeated and outcome.made.reasoning[2:] == ("Lamp 1 hangs.",)
    with pytest.raises(RequestError, match="has 3 already"):
        keeper.amend(plain, "Lamp 1 stands.", [], "Bob", 3)
    assert (keeper.journal.size, keeper.vlm.state.editor.checksum()) == (size, checksum)
    keeper.amend(named, "Lamp 2 hangs.", [(0, 18, 18, 36)], "Bob")
    with pytest.raises(RequestError, match="another edit's"):
        make(keeper, 2, edit_id="mine")


def test_what_cannot_be_written_is_not_done(open_keeper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = open_keeper()
    first = make(keeper, 1).made.id
    state = keeper.vlm.state

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for attempt in (
        lambda: make(keeper, 2),
        lambda: keeper.undo(first),
        lambda: keeper.amend(first, "Lamp 1 hangs.", [(0, 18, 18, 36)], ""),
    ):
        with pytest.raises(RequestError, match="not durable, so not done") as caught:
            attempt()
        assert caught.value.status == 503 and keeper.vlm.state is state
    monkeypatch.undo()
    assert make(keeper, 2).made.answer == COLOURS[2]


def test_a_refused_edit_leaves_no_line(open_keeper: Any) -> None:
    keeper = open_keeper()
    first = make(keeper, 1)
    size = keeper.journal.size
    with pytest.raises(RecordError, match="contradicts"):
        make(keeper, 1, "blue", on_conflict="refuse")
    for attempt in (lambda: keeper.undo("nobody"), lambda: keeper.amend("nobody", "A fact.", [], "")):
        with pytest.raises(RequestError) as caught:
            attempt()
        assert caught.value.status == 404
    assert keeper.journal.size == size and keeper.get(first.made.id) == first.made


def test_a_folder_serves_one_process_and_one_model(open_keeper: Any, loaded: EditedVLM) -> None:
    keeper = open_keeper()
    make(keeper, 1)
    with pytest.raises(ConfigError, match="another service uses it"):
        open_keeper()
    keeper.close()
    begun = EditedVLM(loaded.state, loaded.base)
    say(begun, 9)
    with pytest.raises(ConfigError, match="began with other edits"):
        open_keeper(begun)
    first = keeper.journal.path.read_bytes()
    keeper.journal.path.write_bytes(first.replace(b"edit", b"tide"))
    with pytest.raises(ConfigError, match="damaged or missing"):
        open_keeper(EditedVLM(loaded.state, loaded.base))


def test_edits_begun_with_can_be_taken_back_for_good(loaded: EditedVLM, open_keeper: Any) -> None:
    begun = EditedVLM(loaded.state, loaded.base)
    first, second = say(begun, 8), say(begun, 9)
    keeper = open_keeper(EditedVLM(begun.state, begun.base))
    keeper.undo(first)
    made = make(keeper, 1).made.id
    keeper.close()
    again = open_keeper(EditedVLM(begun.state, begun.base))
    assert [edit.id for edit in again.vlm.edits] == [second, made]
    assert again.vlm.state.editor.checksum() == keeper.vlm.state.editor.checksum()
