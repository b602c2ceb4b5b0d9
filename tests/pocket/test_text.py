"""The text of the pocket data sets: as diverse as the real data sets', and honest about what is held out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from random import Random

import pytest

from rv_edit.pocket.judge import AnswerStatement
from rv_edit.pocket.questions import make_question
from rv_edit.pocket.tables import RELATIONS
from rv_edit.pocket.tokenizer import SPECIAL, build_tokenizer
from rv_edit.pocket.training.lessons import lesson
from rv_edit.pocket.training.sentences import pair
from rv_edit.pocket.words import made_up, made_up_elsewhere, vocabulary

REAL = 1145  # questions of A-OKVQA's validation split, the number the figures were measured at


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z']+", text.lower()))


def nearest_jaccard(texts: list[str]) -> list[float]:
    """For every text the highest word Jaccard with another, identical strings aside (inverted index)."""
    bags, index = [words(text) for text in texts], defaultdict(list)
    for row, bag in enumerate(bags):
        for word in bag:
            index[word].append(row)
    best = []
    for row, bag in enumerate(bags):
        shared: Counter[int] = Counter(other for word in bag for other in index[word])
        others = ((len(bags[o]), n) for o, n in shared.items() if texts[o] != texts[row])
        best.append(max((n / (len(bag) + size - n) for size, n in others), default=0.0))
    return sorted(best)


@pytest.mark.parametrize(("dataset", "recurring", "median"), [("aokvqa", 0.05, 0.55), ("fvqa", 0.15, 0.75)])
def test_questions_are_as_diverse_as_real_ones(dataset: str, recurring: float, median: float) -> None:
    texts = [make_question(dataset, "test", index).text for index in range(REAL)]
    counts = Counter(texts)
    assert sum(n for n in counts.values() if n > 1) / REAL <= recurring
    assert nearest_jaccard(texts)[REAL // 2] <= median


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\}", template)
    filler = "((?:(?! that | does ).)+)"  # a nominal or a value holds no clause of its own
    return re.compile("^" + filler.join(re.escape(part) for part in parts) + "$", re.IGNORECASE)


def test_no_training_text_uses_a_held_out_template() -> None:
    held = [_pattern(t) for relation in RELATIONS.values() for t in (*relation.held, *relation.inverse_held)]
    texts: list[str] = []
    for index in range(300):
        one = lesson(Random(index))
        texts += [text for group in one.groups for text, *_ in group.items]
        texts += [text for group in one.groups for text in group.statements]
        texts += pair(Random(index))
    inner = re.compile(r"The answer to question (.*\?) about the image is .*")
    texts += [found.group(1) for text in texts if (found := inner.match(text))]
    assert len(texts) > 3000
    assert not [text for text in texts for pattern in held if pattern.match(text)]


def test_held_out_wordings_use_only_words_that_training_knows() -> None:
    trained = [t for r in RELATIONS.values() for t in (*r.ask, *r.inverse, *r.clause)]
    known = set().union(*(words(re.sub(r"\{\w+\}", "", template)) for template in trained))
    for name, relation in RELATIONS.items():
        for template in (*relation.held, *relation.inverse_held):
            assert words(re.sub(r"\{\w+\}", "", template)) <= known, (name, template)


def test_values_name_their_kind() -> None:
    for relation in RELATIONS.values():
        everything = relation.values + relation.spare
        assert len(relation.values) == 20
        assert len(set(everything)) == len(everything)


def test_every_question_is_made_of_known_words() -> None:
    known = set(vocabulary())
    for index in range(200):
        one = make_question("aokvqa", "test", index)
        text = " ".join([one.text, *one.sentences, *one.choices])
        assert set(re.findall(r"[a-z]+", text.lower())) <= known


def test_the_same_arguments_give_the_same_question_and_tune_shares_no_fact_with_test() -> None:
    assert make_question("fvqa", "test", 3) == make_question("fvqa", "test", 3)
    facts = {
        split: {(one.thing.kind, one.relation) for one in (make_question("aokvqa", split, i) for i in range(400))}
        for split in ("test", "tune")
    }
    assert facts["test"] and facts["tune"] and not facts["test"] & facts["tune"]


def test_made_up_words_of_the_gates_are_never_made_in_training() -> None:
    rng = Random(0)
    assert not {made_up(rng) for _ in range(3000)} & {made_up_elsewhere(rng) for _ in range(3000)}


def test_an_answer_sentence_words_its_question_anew() -> None:
    one = make_question("aokvqa", "test", 0)
    sentence = AnswerStatement(one.query, "bodaki").render(Random(1))
    assert sentence.startswith("The answer to question ") and sentence.endswith(" about the image is bodaki.")


def test_tokenizer_keeps_special_tokens_out_of_user_text_and_round_trips() -> None:
    tokenizer = build_tokenizer()
    image = tokenizer.convert_tokens_to_ids("<image>")
    assert tokenizer("USER:<image>hello", add_special_tokens=False).input_ids.count(image) == 1
    assert image not in tokenizer("an <image> here", add_special_tokens=False, split_special_tokens=True).input_ids
    assert tokenizer.unk_token_id not in tokenizer("naïve 😀 \t ¿", add_special_tokens=False).input_ids
    assert tokenizer.convert_ids_to_tokens(range(len(SPECIAL))) == list(SPECIAL)
    whole = tokenizer("What is it? ASSISTANT:", add_special_tokens=False).input_ids
    parts = [tokenizer(part, add_special_tokens=False).input_ids for part in ("What is it?", "ASSISTANT:")]
    assert whole == parts[0] + parts[1]
