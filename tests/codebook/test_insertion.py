import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.records import RecordError
from rv_edit.codebook import Codebook, Superseded
from tests.codebook.streams import DIM, Made, SlowCodebook, answer_sentence, edit_streams, put

WIDE = {"gate": "none", "k": 50}


def answer(edit_id, text, image="i", question="What is it?", at=0.0, radius=1.0):
    source = {"image": image, "question": question, "answer": text}
    return Made(edit_id, torch.full((1, 2), at), [answer_sentence(question, text)], [radius], ["answer"], [source])


def fact(edit_id, *texts, at=0.0, radius=1.0):
    n = len(texts)
    return Made(edit_id, torch.full((n, 2), at), list(texts), [radius] * n, ["reasoning"] * n)


def facts(book, at=0.0):
    return book.retrieve(torch.full((1, 2), at))[0].facts


@settings(max_examples=40, deadline=None)
@given(edit_streams(), st.sampled_from(["either", "both", "off"]))
def test_insertion_does_what_plain_python_does(stream, merge):
    book, slow = Codebook(DIM, merge=merge), SlowCodebook(merge)
    for edit in stream:
        put(book, edit)
        slow.insert(edit)
    assert book.values == tuple(tuple(slow.values(group)) for group in slow.groups)
    assert book.counts.tolist() == [len(group["members"]) for group in slow.groups]
    assert book.nbytes == sum(DIM * 2 + 8 + sum(len(text) for text in sentences) for sentences in book.values)
    np.testing.assert_array_equal(
        book.keys.double().numpy(), np.array([g["key"] for g in slow.groups]).reshape(-1, DIM)
    )
    np.testing.assert_array_equal(book.radii.numpy(), np.array([g["radius"] for g in slow.groups], np.float32))


@settings(max_examples=40, deadline=None)
@given(edit_streams())
def test_a_prompt_never_holds_an_answer_that_was_superseded_nor_two_to_one_question(stream):
    book, latest = Codebook(DIM, **WIDE), {}
    for edit in stream:
        put(book, edit)
        source = edit.provenance[0]
        latest[source["image"], source["question"]] = source["answer"]
    in_force = {(question, text) for (_, question), text in latest.items()}
    for edit in stream:
        said = book.retrieve(edit.keys[:1])[0].facts
        answers = [text for text in said if text.startswith("The answer")]
        assert len(said) == len(set(said))
        assert len({text.split(" about")[0] for text in answers}) == len(answers)
        assert set(answers) <= {answer_sentence(*pair) for pair in in_force}


def test_a_merged_key_is_the_average_of_its_members_and_keeps_its_radius():
    book = Codebook(2)
    for number, (x, radius) in enumerate([(1.0, 1.0), (1.03, 2.0), (1.06, 1.0)]):
        report = book.insert(f"e{number}", torch.tensor([[x, 0.0]]), [f"Fact {number}."], [radius], ["reasoning"])
    assert (report.added, report.merged, report.by_both, report.key_ids) == (0, 1, 1, ("e0#0",))
    assert report.bytes_added == len("Fact 2.")
    members = np.array([1.0, 1.03, 1.06], np.float16).astype(np.float64)
    assert book.keys.tolist() == [[float(np.float16(members.mean())), 0.0]]
    assert (book.radii.tolist(), book.counts.tolist()) == ([1.0], [3])
    assert book.placed == {"new": 1, "closeness": 1, "both": 1}


def test_a_full_key_takes_known_sentences_only():
    book = Codebook(2, max_values=2)
    put(book, fact("a", "One.", "Two."))
    report = put(book, fact("b", "one", "Three.", "Four."))
    assert (report.merged, report.added, report.full) == (2, 1, 2)
    assert book.values == (("One.", "Two."), ("Three.", "Four."))


def test_keys_of_radius_zero_do_not_merge():
    book = Codebook(2)
    put(book, fact("a", "One.", radius=0.0))
    put(book, fact("b", "One.", radius=0.0))
    assert len(book) == 2


def test_merging_saves_bytes_and_the_sidecar_does_not_count():
    merged, apart = Codebook(2), Codebook(2, merge="off")
    for number in range(10):
        for book in (merged, apart):
            put(book, fact(f"e{number}", "The same é."))
    assert merged.nbytes == 2 * 2 + 4 + 4 + len("The same é.".encode())
    assert apart.nbytes == 10 * merged.nbytes


def test_another_answer_to_the_same_picture_and_question_supersedes():
    book = Codebook(2, gate="none")
    put(book, answer("a", "red", question="What colour is it?"))
    put(book, fact("a2", "It glows."))
    report = put(book, answer("b", "blue", question="  what COLOUR is it "))
    assert report.superseded == (Superseded("a", answer_sentence("What colour is it?", "red")),)
    assert facts(book) == ("It glows.", answer_sentence("  what COLOUR is it ", "blue"))
    book.undo("b")
    assert answer_sentence("What colour is it?", "red") in facts(book)


def test_a_superseded_key_of_its_own_goes_and_comes_back():
    book = Codebook(2, gate="none", merge="off", exact_keys=2)
    for number in range(4):
        put(book, fact(f"f{number}", f"Fact {number}.", at=number + 1.0))
    before = book.checksum()
    put(book, answer("a", "red"))
    put(book, answer("b", "blue"))
    assert book.key_ids == ("f0#0", "f1#0", "f2#0", "f3#0", "b#0")
    book.undo("b")
    assert facts(book)[0] == answer_sentence("What is it?", "red")
    book.undo("a")
    assert book.checksum() == before


@pytest.mark.parametrize("other", [{"image": "j"}, {"question": "What else?"}])
def test_nothing_is_superseded_on_another_picture_or_question(other):
    book = Codebook(2, merge="off")
    put(book, answer("a", "red"))
    assert put(book, answer("b", "blue", **other)).superseded == ()
    assert len(book) == 2


def test_the_same_answer_again_supersedes_nothing_and_outlives_the_first():
    book = Codebook(2, gate="none")
    put(book, answer("a", "Red"))
    assert put(book, answer("b", "red.")).superseded == ()
    assert facts(book) == (answer_sentence("What is it?", "red."),)
    assert len(book) == 1
    book.undo("a")
    assert facts(book) == (answer_sentence("What is it?", "red."),)


def test_a_shared_sentence_stays_while_one_of_its_answers_holds():
    book = Codebook(2, gate="none")
    put(book, answer("a", "red", image="i"))
    put(book, answer("b", "red", image="j"))
    put(book, answer("c", "blue", image="i", at=9.0))
    assert book.values[0] == (answer_sentence("What is it?", "red"),)
    put(book, answer("d", "green", image="j", at=9.0))
    assert all(answer_sentence("What is it?", "red") not in sentences for sentences in book.values)


def test_answers_to_one_question_on_several_pictures_leave_the_nearest():
    book = Codebook(2, gate="none", merge="off")
    put(book, answer("a", "red", image="i", at=1.0))
    put(book, answer("b", "blue", image="j", at=2.0))
    assert facts(book) == (answer_sentence("What is it?", "red"),)
    assert facts(book, at=3.0) == (answer_sentence("What is it?", "blue"),)


def test_k_counts_keys_and_facts_name_theirs():
    book = Codebook(2, gate="none", merge="off", k=3)
    put(book, fact("a", "Same.", at=0.0))
    put(book, fact("b", "  same ", at=1.0))
    put(book, fact("c", "Other.", at=2.0))
    put(book, fact("d", "Far.", at=3.0))
    found = book.retrieve(torch.zeros(1, 2))[0]
    assert (found.facts, found.fact_keys, found.key_ids) == (("Same.", "Other."), (0, 2), ("a#0", "b#0", "c#0"))
    assert found.fact_distances == (found.distances[0], found.distances[2])
    book.configure(k=1)
    assert facts(book) == ("Same.",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edit_id": "old"}, "edit 'old': already in the codebook"),
        ({"edit_id": ""}, "non-empty string"),
        ({"keys": torch.tensor([[np.nan, 0.0]])}, "edit 'new', entry 0: its key is not finite"),
        ({"keys": torch.tensor([[1e5, 0.0]])}, "not finite in fp16"),
        ({"keys": torch.zeros(1, 3)}, r"keys of shape \(1, 3\)"),
        ({"radii": [-1.0]}, "radius -1.0; give a finite one"),
        ({"radii": [float("inf")]}, "radius inf"),
        ({"radii": [1.0, 1.0]}, r"radii of shape \(2,\)"),
        ({"values": [" \n"]}, "entry 0: the sentence is empty"),
        ({"values": []}, "0 sentences, 1 kinds"),
        ({"values": [], "kinds": [], "provenance": []}, "nothing to store"),
        ({"values": ["lone \ud800"]}, "not plain JSON"),
        ({"kinds": ["fact"]}, "kind 'fact'; give one of answer, reasoning"),
        ({"provenance": [{"box": float("nan")}]}, "entry 0, provenance: not plain JSON"),
        ({"provenance": [{"box": object()}]}, "not plain JSON"),
    ],
)
def test_what_cannot_be_stored_is_refused_in_one_line_and_changes_nothing(change, message):
    book = Codebook(2)
    put(book, fact("old", "Old."))
    before = book.checksum()
    edit = {"edit_id": "new", "keys": torch.zeros(1, 2), "values": ["New."], "radii": [1.0], "kinds": ["answer"]}
    with pytest.raises(RecordError, match=message) as caught:
        book.insert(**{**edit, **change})
    assert "\n" not in str(caught.value)
    assert book.checksum() == before


def test_an_interrupted_insertion_leaves_no_trace(monkeypatch):
    book = Codebook(2)
    put(book, fact("old", "Old."))
    before = book.checksum()
    calls = []

    def interrupted(group):
        calls.append(group)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return torch.zeros(2).half()

    with monkeypatch.context() as patch:
        patch.setattr("rv_edit.codebook.ledger.Ledger.center", lambda self, group: interrupted(group))
        with pytest.raises(KeyboardInterrupt):
            put(book, fact("new", "A.", "B.", "C."))
    assert len(calls) == 2
    assert (book.checksum(), book.edit_ids) == (before, ("old",))
    put(book, fact("new", "A."))
    assert book.values == (("Old.", "A."),)


def test_unknown_options_and_bad_values_are_named():
    from rv_edit.errors import ConfigError

    for options, message in [
        ({"kk": 3}, "unknown option 'kk'; known are closeness"),
        ({"k": 0}, "k=0; give a whole number at least 1"),
        ({"percentile": 101}, "percentile=101; give a number from 0 to 100"),
        ({"merge": "maybe"}, "merge='maybe'; give one of either, both, off"),
        ({"gate": "open"}, "gate='open'"),
        ({"hubness": 1}, "hubness=1"),
        ({"overlap": float("nan")}, "overlap=nan"),
    ]:
        with pytest.raises(ConfigError, match=message):
            Codebook(2, **options)
    with pytest.raises(ConfigError, match="dim=0"):
        Codebook(0)
