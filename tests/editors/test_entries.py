"""What GRACE and BalancEdit promise alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.records import Edit, Question, RecordError
from rv_edit.editors import balancedit, grace
from rv_edit.editors.entry_editor import EntryEditor
from rv_edit.editors.unedited import Unedited
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, load_vlm
from tests.editors.conftest import make_edit, question
from tests.editors.entry_makers import ASKING, MAKERS, scores

Maker = Callable[..., EntryEditor]


@pytest.fixture(params=sorted(MAKERS))
def make(request: pytest.FixtureRequest, vlm: VLM) -> Maker:
    return lambda **options: MAKERS[request.param](vlm, **options)


def weights(vlm: VLM) -> str:
    digest = hashlib.sha256()
    for name, value in vlm.model.state_dict().items():
        digest.update(name.encode() + value.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def wrong(vlm: VLM, index: int, facts: int = 0) -> Edit:
    """Edit ``index`` with the answer that the unedited model likes least."""
    edit = make_edit(index, facts)
    (answer,) = Unedited(vlm, ASKING).answer([edit.as_question()])
    return replace(edit, answer=edit.choices[int(np.argmin(answer.scores))])


def test_the_edit_takes_and_nothing_else_moves(make: Maker, vlm: VLM) -> None:
    editor, before = make(), weights(vlm)
    edits = [wrong(vlm, index) for index in range(3)]
    others = [question(index) for index in range(6)]
    unedited = Unedited(vlm, ASKING).answer(others)
    for edit in edits:
        receipt = editor.edit(edit)
        assert receipt.keys_added == 1 and receipt.keys_merged == 0 and receipt.seconds > 0
    assert editor.edit_ids == ("edit0", "edit1", "edit2") and editor.num_keys == 3
    assert sum([receipt.bytes_added] * 3) == editor.nbytes > 0
    for edit, answer in zip(edits, editor.answer([edit.as_question() for edit in edits]), strict=True):
        assert answer.accepted and edit.choices[answer.prediction] == edit.answer
        assert answer.distances[0] <= 1e-3 and answer.facts == ()
    after = editor.answer(others)
    assert not any(answer.accepted for answer in after) and all(answer.distances[0] > 0 for answer in after)
    assert [answer.scores for answer in after] == [answer.scores for answer in unedited], "bit for bit"
    assert weights(vlm) == before and not any(parameter.requires_grad for parameter in vlm.model.parameters())


def test_out_of_scope_beside_in_scope_is_bit_equal(make: Maker, vlm: VLM) -> None:
    """In one batch, over one picture, with a shared beginning: only the edited question's scores move."""
    editor, edit = make(), wrong(vlm, 0)
    editor.edit(edit)
    asked = [edit.as_question(), question(0, image=0), question(1, image=0), question(5)]
    plain, edited = Unedited(vlm, ASKING).answer(asked), editor.answer(asked)
    assert [answer.accepted for answer in edited] == [True, False, False, False]
    assert [a.scores == b.scores for a, b in zip(plain, edited, strict=True)] == [False, True, True, True]


def test_an_empty_memory_answers_as_unedited(make: Maker, vlm: VLM) -> None:
    asked = [question(index) for index in range(5)]
    assert make().answer(asked) == Unedited(vlm, ASKING).answer(asked)


def test_batched_equals_one_by_one_in_any_order(make: Maker, vlm: VLM) -> None:
    editor = make()
    edits = [wrong(vlm, index) for index in range(4)]
    for edit in edits:
        editor.edit(edit)
    asked: list[Question] = [edit.as_question() for edit in edits]
    asked += [question(index, image=index) for index in range(4)] + [question(20 + index) for index in range(4)]
    together = editor.answer(asked)
    assert {answer.accepted for answer in together} == {True, False}
    order = np.random.default_rng(0).permutation(len(asked))
    shuffled = editor.answer([asked[place] for place in order])
    for place, (item, whole) in enumerate(zip(asked, together, strict=True)):
        for other in (editor.answer([item])[0], shuffled[list(order).index(place)]):
            assert whole.question_id == other.question_id == item.id
            assert (whole.accepted, whole.prediction) == (other.accepted, other.prediction)
            assert np.allclose(whole.scores, other.scores, atol=1e-4)
            assert np.allclose(whole.distances, other.distances, atol=1e-4)


def test_no_answer_reaches_a_key_or_a_query(make: Maker, vlm: VLM) -> None:
    one, two, edit = make(), make(), replace(make_edit(0), choices=("red", "a small dog"), answer="red")
    one.edit(edit)
    two.edit(replace(edit, answer="a small dog"))
    assert len(vlm.prompts.answer_ids("red")) != len(vlm.prompts.answer_ids("a small dog"))
    assert torch.equal(one.entries.keys, two.entries.keys)
    assert torch.equal(one.entries.radii, two.entries.radii)
    assert not torch.equal(one.entries.values, two.entries.values)
    queries = []
    for item in (edit.as_question(), replace(edit.as_question(), target=3, choices=("a", "b", "c", "a small dog"))):
        (answer,) = one.answer([item])
        queries.append(answer.distances)
    assert queries[0] == queries[1]


def test_scope_is_decided_once_a_question(make: Maker, vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    editor, edit = make(), replace(make_edit(0), choices=("red", "a small dog"), answer="a small dog")
    editor.edit(edit)
    looked_up: list[int] = []
    find = editor.entries.find
    monkeypatch.setattr(editor.entries, "find", lambda queries: looked_up.append(len(queries)) or find(queries))
    asked = [edit.as_question(), *(question(index, image=0) for index in range(3)), *(question(i) for i in range(4))]
    assert any(len(vlm.prompts.answer_ids(choice)) > 1 for choice in edit.choices), "no later pass would be seen"
    editor.answer(asked)
    assert sum(looked_up) == len(asked) and len(looked_up) < len(asked)


def test_choices_that_begin_alike_are_told_apart(make: Maker, vlm: VLM) -> None:
    """A value that held at the prompt's last position alone could not choose between them."""
    edit = replace(make_edit(0), choices=("red lamp", "red dog"), answer="red dog")
    ids = [vlm.prompts.answer_ids(choice) for choice in edit.choices]
    assert ids[0][0] == ids[1][0] and ids[0] != ids[1]
    (plain,) = Unedited(vlm, ASKING).answer([edit.as_question()])
    edit = replace(edit, answer=edit.choices[1 - plain.prediction])
    editor = make(steps=60)
    editor.edit(edit)
    (answer,) = editor.answer([edit.as_question()])
    assert edit.choices[answer.prediction] == edit.answer


@pytest.mark.parametrize("undone", [0, 1, 2])
def test_undo_is_as_if_never_made(make: Maker, undone: int) -> None:
    """Also where edits went on from each other's values: a wide radius takes all of them in."""
    options = {"epsilon": 100.0} if make().name == "grace" else {"alpha": 1.0}
    editor, reference = make(**options), make(**options)
    for index in range(3):
        edit = replace(make_edit(index), answer="red")
        editor.edit(edit)
        if index != undone:
            reference.edit(edit)
    assert any(len(row.chain) > 1 for row in editor.entries.rows)
    editor.undo(f"edit{undone}")
    assert editor.checksum() == reference.checksum()
    for name in ("keys", "radii", "values"):
        assert torch.equal(getattr(editor.entries, name), getattr(reference.entries, name)), name
    with pytest.raises(RecordError):
        editor.undo(f"edit{undone}")


def test_undo_trains_nothing_that_the_edit_had_no_part_in(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = make()
    for index in range(3):
        editor.edit(make_edit(index))
    monkeypatch.setattr(editor.entries, "trainer", lambda *_: pytest.fail("trained again"))
    editor.undo("edit1")
    assert editor.edit_ids == ("edit0", "edit2") and editor.num_keys == 2


def test_undo_of_all_is_the_unedited_model(make: Maker, vlm: VLM) -> None:
    editor, fresh = make(), make()
    editor.edit(make_edit(0))
    editor.undo("edit0")
    assert editor.checksum() == fresh.checksum() and editor.nbytes == 0
    assert editor.answer([make_edit(0).as_question()]) == Unedited(vlm, ASKING).answer([make_edit(0).as_question()])


def test_same_stream_same_bytes_whatever_happens_between(make: Maker) -> None:
    one, two = make(), make()
    for index in range(2):
        one.edit(make_edit(index))
    for index in range(2):
        two.answer([question(index)])
        two.edit(make_edit(index))
    assert one.checksum() == two.checksum()


def test_every_way_of_loading_restores_the_edits(make: Maker, tmp_path: Path) -> None:
    editor = make()
    for index in range(2):
        editor.edit(make_edit(index))
    asked = [make_edit(index).as_question() for index in range(2)] + [question(0)]
    expected = editor.answer(asked)
    editor.save(tmp_path / "saved")
    torch.save(editor.state_dict(), tmp_path / "state.pt")
    loaded, taken, module = make(), make(), make()
    loaded.load(tmp_path / "saved")
    taken.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    module.memory.load_state_dict(editor.memory.state_dict(), strict=True)
    for other in (loaded, taken, module):
        assert other.checksum() == editor.checksum() and other.edit_ids == editor.edit_ids
        assert other.answer(asked) == expected
    loaded.undo("edit0")
    editor.undo("edit0")
    assert loaded.checksum() == editor.checksum(), "what an undo needs was not saved"


def test_save_and_go_on(make: Maker, tmp_path: Path) -> None:
    whole, first, second = make(), make(), make()
    for index in range(3):
        whole.edit(make_edit(index))
    first.edit(make_edit(0))
    first.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["entries.safetensors"]
    second.load(tmp_path)
    second.edit(make_edit(1))
    second.edit(make_edit(2))
    assert second.checksum() == whole.checksum()


def test_what_does_not_fit_is_refused_in_one_line(make: Maker, vlm: VLM, tmp_path: Path) -> None:
    editor = make()
    editor.edit(make_edit(0))
    editor.save(tmp_path / "good")
    data = (tmp_path / "good/entries.safetensors").read_bytes()
    for name, content in (("cut", data[: len(data) // 2]), ("turned", data[:-1] + bytes([data[-1] ^ 1]))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "entries.safetensors").write_bytes(content)
    fresh, other_rules = make(), make(steps=11)
    other_name = next(maker for name, maker in MAKERS.items() if name != editor.name)(vlm)
    for target, folder in (
        (fresh, "nothing"), (fresh, "cut"), (fresh, "turned"), (other_rules, "good"), (other_name, "good")
    ):  # fmt: skip
        empty = target.checksum()
        with pytest.raises(ConfigError) as caught:
            target.load(tmp_path / folder)
        assert "\n" not in str(caught.value) and target.checksum() == empty


def test_bad_edits_change_nothing(make: Maker) -> None:
    editor = make()
    editor.edit(make_edit(0))
    state = editor.checksum()
    broken = replace(make_edit(1), image=type(make_edit(1).image).from_bytes(b"no picture"))
    endless = replace(make_edit(2), question="word " * 2000)
    for bad in (make_edit(0), broken, endless, replace(make_edit(3), choices=("", "a"), answer="")):
        with pytest.raises(RecordError) as caught:
            editor.edit(bad)
        assert "\n" not in str(caught.value)
    assert editor.checksum() == state


def test_a_diverging_edit_is_rolled_back(make: Maker, vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = make()
    editor.edit(make_edit(0))
    state, base = editor.checksum(), weights(vlm)
    for module in (grace, balancedit):
        monkeypatch.setattr(module, "target_nll", lambda _vlm, hidden, _ids: hidden.sum() * float("nan"))
    with pytest.raises(RecordError, match="edit1.*diverged"):
        editor.edit(make_edit(1))
    assert editor.checksum() == state and weights(vlm) == base and editor.edit_ids == ("edit0",)


def test_another_answer_to_the_same_supersedes(make: Maker) -> None:
    editor, edit = make(), make_edit(0)
    editor.edit(replace(edit, answer="red"))
    receipt = editor.edit(replace(edit, id="later", answer="blue"))
    assert receipt.superseded == "edit0" and editor.num_keys == 1
    (answer,) = editor.answer([edit.as_question()])
    assert edit.choices[answer.prediction] == "blue"
    editor.undo("later")
    (answer,) = editor.answer([edit.as_question()])
    assert edit.choices[answer.prediction] == "red"


def test_casts_leave_keys_and_values_alone(make: Maker) -> None:
    editor = make()
    editor.edit(make_edit(0))
    before = editor.checksum()
    editor.memory.half()
    assert editor.checksum() == before and editor.entries.values.dtype == torch.float32


def test_models_in_half_precision(make: Maker, vlm_folder: Path, tmp_path: Path) -> None:
    """What training reads is kept in the model's precision; values and keys are not."""
    name = make().name
    half = load_vlm(str(vlm_folder), dtype="bfloat16")
    editor, other = MAKERS[name](half, steps=60), MAKERS[name](half, steps=60)
    edit = wrong(half, 0)
    editor.edit(edit)
    assert editor.entries.stream[0].states["residual"].dtype == torch.bfloat16
    assert editor.entries.keys.dtype == editor.entries.values.dtype == torch.float32
    editor.save(tmp_path)
    other.load(tmp_path)
    asked = [edit.as_question(), question(0)]
    (own, outside), plain = editor.answer(asked), Unedited(half, ASKING).answer(asked)
    assert edit.choices[own.prediction] == edit.answer and outside.scores == plain[1].scores
    assert other.answer(asked) == [own, outside] and other.checksum() == editor.checksum()


def test_it_edits_under_inference_mode(make: Maker) -> None:
    one, two = make(), make()
    with torch.inference_mode():
        one.edit(make_edit(0))
    two.edit(make_edit(0))
    assert one.checksum() == two.checksum() and scores(one.answer([make_edit(0).as_question()])).any()
