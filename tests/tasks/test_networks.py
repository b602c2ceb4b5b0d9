"""Which pictures and texts a sampled network is made of."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.qa_record import QARecord
from data_modules.records import ImageRef
from rv_edit.augment import ImageAugmenter
from rv_edit.errors import ConfigError
from rv_edit.tasks.networks import Picture, Pools, build_network, draw_batches, fact_sentences
from rv_edit.topology import Layout
from tests.run.tiny_data import COLOURS, picture, record, reword

RECORDS = [record(index) for index in range(24)]
POOLS = Pools(tuple(f"Fact {n}." for n in range(20)), tuple(picture(n) for n in range(40)))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.integers(1, 6), st.integers(0, 99), st.randoms(use_true_random=False))
def test_batches_repeat_nothing_before_all_had_their_turn(pairs, count, seed, shuffled):
    batches = draw_batches(RECORDS, pairs, count, seed)
    other = list(RECORDS)
    shuffled.shuffle(other)
    assert draw_batches(other, pairs, count, seed) == batches
    assert all(len({one.image.sha for one in batch}) == pairs for batch in batches) and len(batches) == count
    drawn = [one.id for batch in batches for one in batch]
    assert len(set(drawn)) == min(len(drawn), len(RECORDS))


def test_another_seed_draws_other_batches():
    assert draw_batches(RECORDS, 5, 2, 0) != draw_batches(RECORDS, 5, 2, 1)


def test_pictures_and_questions_differ_within_a_batch_and_broken_ones_are_left_out():
    """Partitions by picture and by text would be wrong otherwise."""
    same_picture = [QARecord(f"p{n}", picture(0), f"Question {n}?", COLOURS, "red") for n in range(5)]
    same_question = [QARecord(f"q{n}", picture(100 + n), "Question 0?", COLOURS, "red") for n in range(5)]
    broken = [QARecord(f"b{n}", ImageRef.from_bytes(b"%d" % n), f"Broken {n}?", COLOURS, "red") for n in range(5)]
    for seed in range(5):
        batch = draw_batches([*same_picture, *same_question, *broken], 2, 1, seed)[0]
        assert batch[0].image.sha != batch[1].image.sha and batch[0].question != batch[1].question
        assert not {one.id[0] for one in batch} & {"b"}
    with pytest.raises(ConfigError, match="only 1 readable records differ"):
        draw_batches([*same_picture, *broken], 2, 1, 0)


def test_a_record_that_did_not_fit_is_in_the_next_batch():
    """Two records share a picture; whenever they leave it open, each of the four is in one of two batches."""
    twins = [QARecord(f"t{n}", picture(0), f"Twin {n}?", COLOURS, "red") for n in range(2)]
    others = [QARecord(f"o{n}", picture(n + 1), f"Other {n}?", COLOURS, "red") for n in range(2)]
    possible = 0
    for seed in range(20):
        first, second = ({one.id for one in batch} for batch in draw_batches([*twins, *others], 2, 2, seed))
        if first != {"o0", "o1"}:
            possible += 1
            assert first | second == {"t0", "t1", "o0", "o1"}
    assert possible > 5


def test_nodes_are_in_the_order_of_the_layout():
    layout, batch = Layout(pairs=4, variants=3, anchors=2, around=3), RECORDS[:4]
    network = build_network(batch, layout, POOLS, reword, seed=0)
    assert len(network.pictures) == len(network.texts) == layout.nodes
    nodes = list(zip(network.pictures, network.texts, strict=True))
    for index in range(16):
        assert nodes[index] == (Picture(batch[index // 4].image), batch[index % 4].question)
    for index, (shown, text) in enumerate(nodes[16:28]):
        anchor = batch[index // 3]
        assert shown == Picture(anchor.image, index % 3) and text != anchor.question and anchor.question in text
    for index in range(6):
        anchor = batch[index // 3]
        similar_image, other_text, similar_text, other_image = (nodes[28 + 6 * part + index] for part in range(4))
        assert similar_image == (Picture(anchor.image, index % 3), anchor.question)
        assert other_text[0] == Picture(anchor.image) and other_text[1] in POOLS.facts
        assert similar_text[0] == Picture(anchor.image) and similar_text[1] == network.texts[16 + index]
        assert other_image[1] == anchor.question and other_image[0].variant is None
        assert other_image[0].source.sha not in {one.image.sha for one in batch}
    assert len({text for _, text in nodes[34:37]}) == 3  # mismatches of one anchor do not repeat


def test_without_rewording_texts_stay():
    layout = Layout(3, 2, 2, 2)
    network = build_network(RECORDS[:3], layout, POOLS, None, seed=0)
    assert list(network.texts[9:15]) == [one.question for one in RECORDS[:3] for _ in range(2)]


def test_what_is_in_a_network_is_no_mismatch_for_it():
    layout, batch = Layout(2, 1, 2, 4), RECORDS[:2]
    few = Pools((*(fact for one in batch for fact in one.reasoning), "Other."), (batch[0].image, picture(50)))
    network = build_network(batch, layout, few, None, seed=0)
    assert set(network.texts[6 + 8 : 6 + 16]) == {"Other."}
    assert {shown.source.sha for shown in network.pictures[-8:]} == {picture(50).sha}
    for empty, option in (
        (Pools(few.facts[:-1], few.pictures), "task.facts"),
        (Pools(few.facts, few.pictures[:1]), "dataset.sample"),
    ):
        with pytest.raises(ConfigError, match=option):
            build_network(batch, layout, empty, None, seed=0)


def test_pictures_are_opened_once_and_drawn_by_name_alone():
    layout, augmenter = Layout(3, 2, 2, 2), ImageAugmenter()
    network = build_network(RECORDS[:3], layout, POOLS, reword, seed=0)
    images = network.open(augmenter, seed=0)
    names = [shown.name for shown in network.pictures]
    assert len({id(image) for image in images}) == len(set(names))
    assert images[0] is images[1] and images[0] is not images[3]
    other = build_network(RECORDS[2:5], layout, POOLS, reword, seed=0)
    first, again = dict(zip(names, images, strict=True)), other.open(augmenter, seed=0)
    shared = [
        (first[shown.name], image) for shown, image in zip(other.pictures, again, strict=True) if shown.name in first
    ]
    assert shared and all(a.tobytes() == b.tobytes() for a, b in shared)
    variant = names.index(f"{RECORDS[2].image.sha}#1")
    assert images[variant].tobytes() != network.open(augmenter, seed=1)[variant].tobytes()


def test_digest_tells_networks_apart():
    layout = Layout(3, 2, 2, 2)
    plain = build_network(RECORDS[:3], layout, POOLS, reword, seed=0)
    assert plain.digest() == build_network(RECORDS[:3], layout, POOLS, reword, seed=0).digest()
    others = [
        build_network(RECORDS[1:4], layout, POOLS, reword, seed=0),
        build_network(RECORDS[:3], layout, POOLS, None, seed=0),
        build_network(RECORDS[:3], layout, POOLS, reword, seed=1),
        build_network(RECORDS[:3], Layout(3, 2, 2, 1), POOLS, reword, seed=0),
    ]
    assert len({network.digest() for network in [plain, *others]}) == 5


def test_fact_sentences(tmp_path: Path):
    facts = fact_sentences(RECORDS, None, 10, seed=0)
    assert len(set(facts)) == 10 and set(facts) <= {fact for one in RECORDS for fact in one.reasoning}
    assert fact_sentences(random.sample(RECORDS, len(RECORDS)), None, 10, seed=0) == facts
    assert fact_sentences(RECORDS, None, 10, seed=1) != facts
    bare = [QARecord("a", picture(0), "Why?", COLOURS, "red")]
    assert fact_sentences(bare, None, 10, seed=0) == ("Why?",)
    file = tmp_path / "facts.txt"
    file.write_text("Cats purr.\n\n Dogs bark. \nCats purr.\n")
    assert sorted(fact_sentences(RECORDS, str(file), 10, seed=0)) == ["Cats purr.", "Dogs bark."]
    file.write_text("\n")
    for path in (str(file), str(tmp_path / "none.txt")):
        with pytest.raises(ConfigError, match=r"task\.facts"):
            fact_sentences(RECORDS, path, 10, seed=0)
