"""Asking, editing, taking back, adding to, explaining."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rv_edit
from data_modules.records import RecordError
from rv_edit import EditedVLM
from rv_edit.api.inputs import as_image
from rv_edit.api.state import State
from rv_edit.errors import ConfigError
from tests.api.conftest import COLOURS, say
from tests.editors.conftest import picture

Fresh = Callable[[], EditedVLM]


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, rv_edit; assert 'EditedVLM' in dir(rv_edit); "
        "heavy = {'torch', 'transformers', 'hydra', 'PIL', 'numpy'} & set(sys.modules); print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'Edited'"):
        rv_edit.Edited  # noqa: B018


def test_answers_are_those_of_the_model(fresh: Fresh) -> None:
    vlm = fresh()
    model = vlm.state.editor.vlm
    feats = model.encode_images([picture(1).open()])
    prompt = model.format_prompt("What is it?")
    assert vlm.ask(picture(1), "What is it?", max_new_tokens=6).text == model.generate(feats, [prompt], 6)[0]
    chosen = vlm.ask(picture(1), "What is it?", COLOURS)
    (expected,) = model.score(feats, [prompt], [list(COLOURS)])
    assert np.allclose(chosen.scores, expected.logp, atol=1e-4)
    assert str(chosen) == COLOURS[int(np.argmax(expected.logp))] and chosen.accepted is None


def test_lists_are_paired_and_batched(fresh: Fresh, tmp_path: Path) -> None:
    vlm = fresh()
    say(vlm, 1)
    path = tmp_path / "one.png"
    path.write_bytes(picture(1).data or b"")
    pictures = [path, picture(2).data, picture(3).open()]
    together = vlm.ask(pictures, "What colour is lamp 1?", COLOURS)
    alone = [vlm.ask(one, "What colour is lamp 1?", COLOURS) for one in pictures]
    for one, other in zip(together, alone, strict=True):
        assert one.text == other.text and np.allclose(one.scores, other.scores, atol=1e-4)
    mixed = vlm.ask(str(path), ["What is it?", "What colour is lamp 1?"], [[], ["red", "green"]])
    assert mixed[0].choices == () and mixed[1].choices == ("red", "green")
    assert vlm.ask([], [], None) == []


@pytest.mark.parametrize(
    ("image", "question", "choices", "said"),
    [
        ("https://example.org/cat.png", "What is it?", None, "not fetched"),
        ("no such file.png", "What is it?", None, "cannot be read"),
        (b"no picture", "What is it?", None, "not a picture"),
        (7, "What is it?", None, "give a path, bytes or a PIL picture"),
        ("data:image/png;base64," + "A" * 5000, "What is it?", None, "give the picture's bytes"),
        ("one\0.png", "What is it?", None, "no file can be called that"),
        ("\ud800.png", "What is it?", None, "no file can be called that"),
        (Image.new("RGB", (0, 0)), "What is it?", None, "RGB picture of 0x0"),
        (picture(1), None, None, "question: None"),
        (picture(1), "What is it?", 5, "choices: 5"),
        (picture(1), "What is it?", [5], "choices: 5"),
        (picture(1), " \u200b ", None, "give some text"),
        ([picture(1)] * 2, ["What is it?"] * 3, None, "2 pictures and 3 questions"),
        (picture(1), "What is it?", [], "at least one answer"),
        (picture(1), "What is it?", "red", "give a list"),
        (picture(1), ["a?", "b?"], [["red"]], "1 lists of choices for 2 questions"),
    ],
)
def test_bad_input_is_one_line(fresh: Fresh, image: object, question: object, choices: object, said: str) -> None:
    with pytest.raises(RecordError, match=said) as caught:
        fresh().ask(image, question, choices)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_bad_options_are_one_line(fresh: Fresh, tmp_path: Path) -> None:
    vlm: Any = fresh()
    for most in (0, -1, 2.5, True):
        with pytest.raises(RecordError, match="max_new_tokens"):
            vlm.ask(picture(1), "What is it?", max_new_tokens=most)
    for options, said in (({"reasoning": None}, "reasoning: None"), ({"author": None}, "author: None")):
        with pytest.raises(RecordError, match=said):
            vlm.edit(picture(1), "What is it?", "a lamp", **{"reasoning": ["It is a lamp."], **options})
    with pytest.raises(ConfigError, match="give an EditedVLM"):
        vlm.merge("their_edits")
    for metrics in ({"acc": {"after": 1.0}}, {"acc": 1.0}, {"acc": {"before": None, "after": 1.0}}, ["acc"]):
        with pytest.raises(ConfigError, match="metrics: give"):
            vlm.save_pretrained(tmp_path / "saved", metrics=metrics)
    assert vlm.edits == () and not (tmp_path / "saved").exists()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "I", "F", "CMYK", "HSV", "YCbCr", "RGBX"])
def test_decoded_pictures_of_any_mode(mode: str) -> None:
    assert as_image(Image.new(mode, (5, 4))).open().size == (5, 4)


def test_authors_and_crops_are_cleaned(fresh: Fresh) -> None:
    vlm = fresh()
    crops: Any = {np.int64(0): np.array([0, 0, 18, 18])}
    edit = vlm.edit(picture(1), "What is it?", "a lamp", ["It is a lamp."], crops, author="A\0da\u202e\ud800")
    made = vlm.edits[0]
    assert made.about.author == "A da\ufffd" and edit.evidence == {0: ((0, 0, 18, 18),)}


def test_an_edit_puts_its_facts_before_its_question(fresh: Fresh) -> None:
    vlm = fresh()
    before = vlm.ask(picture(1), "What colour is lamp 1?", COLOURS)
    receipt = vlm.edit(
        picture(1), "What colour is lamp 1?", "green", ["Lamp 1 is a lamp."], {0: [(0, 0, 18, 18)]}, author="Ada"
    )
    after = vlm.ask(picture(1), "What colour is lamp 1?", COLOURS)
    assert after.facts == (
        "The answer to question What colour is lamp 1? about the image is green.", "Lamp 1 is a lamp.",
    )  # fmt: skip
    model = vlm.state.editor.vlm
    feats = model.encode_images([picture(1).open()])
    (expected,) = model.score(feats, [model.format_prompt("What colour is lamp 1?", after.facts)], [list(COLOURS)])
    assert np.allclose(after.scores, expected.logp, atol=1e-4) and not np.allclose(after.scores, before.scores)
    written = vlm.ask(picture(1), "What colour is lamp 1?", max_new_tokens=5)
    assert written.text == model.generate(feats, [model.format_prompt("What colour is lamp 1?", after.facts)], 5)[0]
    (made,) = vlm.edits
    assert (made.id, made.answer, made.reasoning) == (receipt.edit_id, "green", ("Lamp 1 is a lamp.",))
    assert made.evidence == {0: ((0, 0, 18, 18),)} and made.image == picture(1).sha
    assert made.about.author == "Ada" and made.about.created.endswith("+00:00") and made.superseded_by is None


def test_undo_is_as_if_never_made(fresh: Fresh) -> None:
    vlm, reference = fresh(), fresh()
    ids = [say(vlm, index) for index in range(3)]
    for index in (0, 2):
        say(reference, index)
    vlm.undo(ids[1])
    assert vlm.state.editor.checksum() == reference.state.editor.checksum()
    assert [made.id for made in vlm.edits] == [ids[0], ids[2]]
    with pytest.raises(RecordError, match="there is no such edit"):
        vlm.undo(ids[1])


def test_a_refused_edit_changes_nothing(fresh: Fresh) -> None:
    vlm = fresh()
    first = say(vlm, 1)
    state = vlm.state
    for attempt in (
        lambda: vlm.edit(picture(2), "What?", "red", ["A fact."], {0: [(0, 0, 500, 18)]}),
        lambda: vlm.edit(picture(2), "What?", "red", ["A fact."], {3: [(0, 0, 18, 18)]}),
        lambda: vlm.edit(picture(2), "What?", " ", ["A fact."]),
        lambda: vlm.edit(picture(2), "What?", "red", [""]),
        lambda: vlm.edit(picture(2), "What?", "red", ["A fact."], {0: ["crop"]}),  # type: ignore[dict-item]
        lambda: vlm.edit(picture(2), "What?", "red", ["A fact."], {0: (0, 0, 18, 18)}, edit_id=first),
        lambda: vlm.amend("nobody", "A fact."),
        lambda: vlm.amend(first, ""),
    ):
        with pytest.raises(RecordError) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="on_conflict"):
        vlm.edit(picture(2), "What?", "red", ["A fact."], on_conflict="oldest")
    assert vlm.state is state


def test_what_a_reader_holds_stays_as_it_is(fresh: Fresh) -> None:
    vlm = fresh()
    say(vlm, 1)
    held, checksum = vlm.state, vlm.state.editor.checksum()
    say(vlm, 2)
    vlm.undo(held.ids[0])
    assert held.editor.checksum() == checksum and len(held.ids) == 1
    assert vlm.state.version == held.version + 2 and len(vlm.state.ids) == 1


def test_a_change_that_cannot_be_written_down_does_not_happen(fresh: Fresh) -> None:
    vlm = fresh()
    first = say(vlm, 1)
    state = vlm.state

    def refuse(change: object) -> None:
        raise OSError("disk full")

    vlm.before_publishing = refuse
    for attempt in (lambda: say(vlm, 2), lambda: vlm.undo(first), lambda: vlm.amend(first, "It is round.")):
        with pytest.raises(OSError, match="disk full"):
            attempt()
        assert vlm.state is state


def test_contradictions_are_shown_and_the_newest_holds(fresh: Fresh) -> None:
    vlm = fresh()
    old, other = say(vlm, 1, "red"), say(vlm, 2)
    receipt = vlm.edit(picture(1), "what COLOUR is lamp 1", "blue", ["Lamp 1 is blue."], {0: [(0, 0, 9, 9)]})
    assert receipt.superseded == old and old in receipt.notes[0]
    (found,) = vlm.contradictions
    assert found.answers == {old: "red", receipt.edit_id: "blue"} and found.in_force == receipt.edit_id
    assert "in force" in str(found)
    assert [made.superseded_by for made in vlm.edits] == [receipt.edit_id, None, None]
    said = vlm.ask(picture(1), "What colour is lamp 1?", COLOURS).facts
    assert any("image is blue" in fact for fact in said) and not any("image is red" in fact for fact in said)
    with pytest.raises(RecordError, match=f"contradicts {receipt.edit_id}"):
        say(vlm, 1, "green", on_conflict="refuse")
    vlm.undo(receipt.edit_id)
    assert vlm.contradictions == () and [made.id for made in vlm.edits] == [old, other]
    assert any("image is red" in fact for fact in vlm.ask(picture(1), "What colour is lamp 1?").facts)


def test_an_amended_edit_is_the_edit_with_the_fact(fresh: Fresh) -> None:
    vlm, reference = fresh(), fresh()
    first = say(vlm, 1, author="Ada")
    say(vlm, 2)
    vlm.amend(first, "Lamp 1 hangs.", [(0, 18, 18, 36)])
    say(reference, 2)
    facts = ["Lamp 1 is a lamp.", "Lamp 1 is green.", "Lamp 1 hangs."]
    crops = {0: [(0, 0, 18, 18)], 1: [(18, 0, 36, 36)], 2: [(0, 18, 18, 36)]}
    reference.edit(picture(1), "What colour is lamp 1?", "green", facts, crops, edit_id=first)
    assert vlm.state.editor.checksum() == reference.state.editor.checksum()
    assert vlm.edits[-1].reasoning == tuple(facts) and vlm.edits[-1].about.author == "Ada"


def test_adding_to_an_edit_from_elsewhere_needs_its_picture(fresh: Fresh, tmp_path: Path) -> None:
    maker = fresh()
    first = say(maker, 1)
    vlm = EditedVLM(maker.state, maker.base)
    with pytest.raises(RecordError, match="its picture .* is not at hand"):
        vlm.amend(first, "Lamp 1 hangs.")
    with pytest.raises(RecordError, match="was made on another picture"):
        vlm.amend(first, "Lamp 1 hangs.", image=picture(2))
    vlm.amend(first, "Lamp 1 hangs.", [(0, 18, 18, 36)], image=picture(1))
    maker.amend(first, "Lamp 1 hangs.", [(0, 18, 18, 36)])
    assert vlm.state.editor.checksum() == maker.state.editor.checksum()


def test_explanations_say_what_lies_how_near_and_why(fresh: Fresh) -> None:
    vlm = fresh()
    assert "no edit is in force" in vlm.explain(picture(1), "What colour is lamp 1?").reason
    first = say(vlm, 1)
    told = vlm.explain(picture(1), "What colour is lamp 1?")
    editor = vlm.state.editor
    query = editor.embedding.keys([picture(1).open()], ["What colour is lamp 1?"])[0].double().numpy()
    expected = sorted(np.linalg.norm(editor.codebook.keys.double().numpy() - query, axis=1))
    assert np.allclose([one.distance for one in told.neighbours], expected, atol=1e-4)
    assert told.accepted and told.facts == vlm.ask(picture(1), "What colour is lamp 1?").facts
    by_fact = {fact: (box, kind, edit) for one in told.neighbours
               for fact, box, kind, edit in zip(one.facts, one.patches, one.kinds, one.edits, strict=True)}  # fmt: skip
    assert by_fact["Lamp 1 is a lamp."] == ((0, 0, 18, 18), "reasoning", first)
    assert by_fact[told.facts[0]] == (None, "answer", first)
    assert "patch 0,0,18,18" in str(told) and "whole picture" in str(told)


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"radius_factor": 1e-6}, "times the nearest key's radius, while there are under 10 edits"),
        ({"min_edits": 1, "percentile": 0}, "percentile 0 of all distances between keys"),
    ],
)
def test_a_rejected_question_is_answered_by_the_model_alone(fresh: Fresh, gate: dict, said: str) -> None:
    book = fresh().state.editor.codebook.copy()
    book.configure(merge="off", gate="percentile", **gate)
    vlm = EditedVLM(State(fresh().state.editor.with_codebook(book)), fresh().base)
    # Two keys that nearly coincide: hardly any distance passes the lowest percentile.
    crop = (0, 0, 18, 18)
    vlm.edit(picture(1), "What is it?", "red", ["Lamp 1 is red.", "Lamp 1 is red!"], {0: [crop], 1: [crop]})
    question = "How many dogs has the cat, and why does nobody ask?"
    told = vlm.explain(picture(9), question)
    assert not told.accepted and told.reason.startswith("Rejected") and said in told.reason
    assert told.neighbours[0].distance > told.threshold and told.neighbours[0].used == () and told.facts == ()
    alone = fresh().ask(picture(9), question, COLOURS)
    assert np.allclose(vlm.ask(picture(9), question, COLOURS).scores, alone.scores, atol=1e-4)


def test_a_model_without_a_key_space_needs_a_sample(vlm_folder: Path, tiny: list[str]) -> None:
    rest = [item for item in tiny if "key_space" not in item]
    with pytest.raises(ConfigError, match=r"give sample=\[\(picture, question\)"):
        EditedVLM.from_pretrained(vlm_folder, overrides=rest)
    sample = [(picture(index), f"What is {index}?") for index in range(4)]
    vlm = EditedVLM.from_pretrained(vlm_folder, sample=sample, overrides=[*rest, "model.key_space.layer=1"])
    assert vlm.state.editor.embedding.key_space.vision_norm > 0
    with pytest.raises(ConfigError, match="unknown option .nonsense"):
        EditedVLM.from_pretrained(vlm_folder, overrides=[*tiny, "+editor.codebook.nonsense=1"])
    with pytest.raises(ConfigError, match="no such folder"):
        EditedVLM.from_pretrained("./nowhere", overrides=tiny)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pocket_lava", "pocket_llava"),
        ("./nowhere", "no such folder"),
        ("{empty}", "no config.json"),
        ("a/b", "sample"),
    ],
)
def test_a_mistyped_name_is_told_from_a_model_without_a_key_space(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        EditedVLM.from_pretrained(name.format(empty=tmp_path))
