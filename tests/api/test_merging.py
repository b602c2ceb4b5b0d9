"""Two people's edits in one codebook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rv_edit import EditedVLM
from rv_edit.api import Change, StoredEdit
from rv_edit.embedding import DualEmbedding
from rv_edit.errors import ConfigError
from tests.api.conftest import COLOURS, say
from tests.editors.conftest import picture

Fresh = Callable[[], EditedVLM]


def test_merging_either_way_gives_what_one_person_would_have_made(fresh: Fresh) -> None:
    ada, bob, both = fresh(), fresh(), fresh()
    for turn, index in enumerate((1, 2, 3, 4)):
        say(ada if turn % 2 else bob, index)
        say(both, index)
    there, back = EditedVLM(ada.state, ada.base), EditedVLM(bob.state, bob.base)
    report = there.merge(bob)
    back.merge(ada)
    assert there.state.editor.checksum() == back.state.editor.checksum() == both.state.editor.checksum()
    assert set(report.added) == set(bob.state.ids) and not report.known and not report.renamed
    assert {made.about for made in there.edits} == {made.about for made in (*ada.edits, *bob.edits)}
    again = there.merge(bob)
    assert again.added == () and set(again.known) == set(bob.state.ids) and len(there.edits) == 4
    there.undo(bob.state.ids[0])
    assert len(there.edits) == 3


@pytest.mark.parametrize(("prefer", "holds"), [("newest", "blue"), ("ours", "red"), ("theirs", "blue")])
def test_whose_answer_holds(fresh: Fresh, prefer: str, holds: str) -> None:
    ada, bob = fresh(), fresh()
    say(ada, 1, "red")
    say(bob, 1, "blue")
    report = ada.merge(bob, prefer)
    (found,) = report.contradictions
    assert set(found.answers.values()) == {"red", "blue"} and found.answers[found.in_force] == holds
    facts = ada.ask(picture(1), "What colour is lamp 1?", COLOURS).facts
    assert [f"image is {colour}" in " ".join(facts) for colour in ("red", "blue")] == [holds == "red", holds == "blue"]


def test_ids_that_both_use_are_told_apart(fresh: Fresh) -> None:
    ada, bob = fresh(), fresh()
    say(ada, 1, edit_id="mine")
    say(bob, 2, edit_id="mine")
    report = ada.merge(bob)
    (renamed,) = report.renamed.values()
    assert report.renamed == {"mine": renamed} and renamed.startswith("mine~")
    assert {made.id: made.question for made in ada.edits} == {
        "mine": "What colour is lamp 1?", renamed: "What colour is lamp 2?",
    }  # fmt: skip
    assert ada.merge(bob).added == () and len(ada.edits) == 2
    ada.undo(renamed)
    assert [made.id for made in ada.edits] == ["mine"]


def test_keys_of_another_space_are_refused(fresh: Fresh) -> None:
    ada, bob = fresh(), fresh()
    say(ada, 1)
    say(bob, 2)
    editor = bob.state.editor.with_codebook(bob.state.editor.codebook)
    space = replace(editor.embedding.key_space, lam=2.0)
    editor.embedding = DualEmbedding(editor.vlm, editor.embedding.text_encoder, space)
    state = ada.state
    with pytest.raises(ConfigError, match="lam: stored 2.0, here 1.0"):
        ada.merge(EditedVLM(replace(bob.state, editor=editor), bob.base))
    with pytest.raises(ConfigError, match="prefer='mine'"):
        ada.merge(bob, "mine")
    assert ada.state is state


def test_an_edit_written_down_is_the_same_edit(fresh: Fresh) -> None:
    vlm, other = fresh(), fresh()
    ids = [say(vlm, index) for index in range(3)]
    for edit_id in ids:
        stored = StoredEdit.from_json(vlm.state.stored(edit_id).as_json())
        assert stored.same_as(vlm.state.stored(edit_id)) and stored.about == vlm.state.about_of(edit_id)
    other.replay(Change("merge", (), tuple(StoredEdit.from_json(vlm.state.stored(one).as_json()) for one in ids)))
    assert other.state.editor.checksum() == vlm.state.editor.checksum() and other.edits == vlm.edits
