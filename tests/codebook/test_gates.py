import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist

from data_modules.records import RecordError
from rv_edit.codebook import Codebook
from rv_edit.codebook.pairs import PairDistances, histogram, histogram_percentile
from rv_edit.errors import ConfigError
from tests.codebook.streams import random_book


def threshold(book):
    return book.retrieve(torch.zeros(1, book.dim))[0].threshold


@pytest.mark.parametrize("percent", [0, 1, 10, 25, 50.5, 100])
def test_threshold_is_the_percentile_of_all_pairs(percent):
    book = random_book(60, percentile=percent)
    assert threshold(book) == pytest.approx(np.percentile(pdist(book.keys.double().numpy()), percent), rel=1e-5)


@pytest.mark.parametrize("percent", [1, 25, 75])
def test_beyond_the_exact_size_the_percentile_is_right_to_a_percent(percent):
    book = random_book(120, percentile=percent, exact_keys=50)
    assert book.pairs.counts is not None
    assert threshold(book) == pytest.approx(np.percentile(pdist(book.keys.double().numpy()), percent), rel=0.01)


@pytest.mark.parametrize("exact_keys", [2, 16, 1000])
def test_threshold_depends_on_the_stream_alone_not_on_when_it_was_asked(exact_keys):
    often, once = Codebook(3, exact_keys=exact_keys), Codebook(3, exact_keys=exact_keys)
    generator = torch.Generator().manual_seed(0)
    for number in range(40):
        site = torch.eye(3)[number % 3] * 2
        edit = (
            f"e{number}",
            (site + torch.randn(3, generator=generator) * 0.1)[None],
            [f"Fact {number}."],
            [0.5],
            ["answer"],
        )
        source = [{"image": f"i{number % 7}", "question": "q", "answer": str(number)}]
        often.insert(*edit, source)
        once.insert(*edit, source)
        often.retrieve(torch.zeros(2, 3))
    assert often.placed.keys() > {"new"}
    assert often.ledger.retired
    assert threshold(often) == threshold(once)
    rebuilt = PairDistances.of(once.keys, exact_keys)
    assert rebuilt.percentile(25) == once.pairs.percentile(25)
    if rebuilt.counts is not None:
        assert np.array_equal(rebuilt.counts, once.pairs.counts)


def test_histogram_percentile_is_right_to_its_width():
    values = np.random.default_rng(0).gamma(3, 2, 5000)
    for percent in (0, 0.1, 25, 60, 100):
        found = histogram_percentile(histogram(values), percent)
        assert found == pytest.approx(np.percentile(values, percent), rel=0.003)
    assert histogram_percentile(histogram(np.zeros(9)), 50) == 0


@pytest.mark.parametrize("exact_keys", [4, 100])
def test_pairs_follow_keys_that_come_move_and_go(exact_keys):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(0, 5)).astype(np.float32)
    pairs = PairDistances(exact_keys)

    def row(point):
        return cdist(point[None], points)[0].astype(np.float32)

    for step in range(60):
        if step % 5 < 3 or len(points) < 4:
            new = rng.normal(size=5).astype(np.float32)
            pairs.append(row(new))
            points = np.vstack([points, new])
        elif step % 5 == 3:
            old = row(points[2])
            points[2] = rng.normal(size=5)
            pairs.move(2, row(points[2]), old)
        else:
            recount = pairs.drop(1, row(points[1]))
            points = np.delete(points, 1, axis=0)
            assert not recount or len(points) <= exact_keys
        if len(points) > 1:
            assert pairs.percentile(25) == pytest.approx(np.percentile(pdist(points), 25), rel=0.006)
    assert (pairs.counts is None) == (len(points) <= exact_keys)


def test_below_ten_edits_the_radius_of_the_nearest_key_decides():
    book = Codebook(2, min_edits=10, radius_factor=3.0)
    book.insert("far", torch.tensor([[10.0, 0.0]]), ["Far."], [5.0], ["answer"])
    book.insert("near", torch.tensor([[0.0, 0.0]]), ["Near."], [0.5], ["answer"])
    inside, outside = book.retrieve(torch.tensor([[0.0, 1.5], [0.0, 1.51]]))
    assert (inside.accepted, inside.threshold, inside.facts) == (True, 1.5, ("Near.", "Far."))
    assert (outside.accepted, outside.facts) == (False, ())
    assert outside.distances[0] == pytest.approx(1.51)
    book.configure(min_edits=2)
    assert book.retrieve(torch.zeros(1, 2))[0].threshold == 10.0


def test_ten_edits_merged_into_one_key_still_have_a_radius():
    book = Codebook(2, min_edits=3)
    for number in range(4):
        book.insert(f"e{number}", torch.zeros(1, 2), ["Same."], [1.0], ["reasoning"])
    assert len(book) == 1
    assert book.retrieve(torch.zeros(1, 2))[0].threshold == 3.0


def test_an_empty_codebook_accepts_nothing_whatever_the_gate():
    for gate in ("percentile", "none", "calibrated"):
        book = Codebook(4, gate=gate)
        found = book.retrieve(torch.zeros(2, 4))
        assert [(one.accepted, one.facts, one.distances) for one in found] == [(False, (), ())] * 2


def test_gate_none_accepts_everything():
    assert random_book(30, gate="none").retrieve(torch.full((1, 16), 1e4))[0].accepted


def test_calibrated_gate_lets_the_stated_share_pass_and_follows_the_keys():
    book = random_book(40, gate="calibrated")
    queries = torch.randn(500, 16, generator=torch.Generator().manual_seed(5)) * 3
    book.calibrate(queries, share=0.05)
    assert sum(one.accepted for one in book.retrieve(queries)) == 25
    before = threshold(book)
    book.insert("more", queries[:20], [f"Q{i}" for i in range(20)], [0.1] * 20, ["reasoning"] * 20)
    assert threshold(book) < before
    assert sum(one.accepted for one in book.retrieve(queries)) == 25
    book.undo("more")
    assert threshold(book) == before


def test_calibrated_gate_needs_calibration():
    with pytest.raises(ConfigError, match=r"gate=calibrated needs calibrate\(\)"):
        random_book(4, gate="calibrated").retrieve(torch.zeros(1, 16))
    for queries, share in ((torch.zeros(0, 16), 0.01), (torch.zeros(3, 16), 1.0)):
        with pytest.raises(ConfigError, match="give some queries"):
            random_book(4).calibrate(queries, share)
    with pytest.raises(RecordError, match="row 1: not finite"):
        random_book(4).calibrate(torch.tensor([[0.0] * 16, [np.nan] * 16]))


@pytest.mark.parametrize("exact_keys", [20, 2048])
def test_hubness_divides_by_the_median_distance_to_the_neighbours(exact_keys):
    book = random_book(80, hubness=True, hub_neighbours=30, exact_keys=exact_keys)
    keys = book.keys.double().numpy()
    between = cdist(keys, keys)
    sigma = np.median(np.sort(between, axis=1)[:, 1:31], axis=1)
    queries = torch.randn(9, 16, generator=torch.Generator().manual_seed(6))
    expected = cdist(queries.double().numpy(), keys) / sigma
    corrected = (between / sigma)[~np.eye(80, dtype=bool)]
    for row, found in zip(expected, book.retrieve(queries), strict=True):
        np.testing.assert_allclose(found.distances, np.sort(row)[:5], rtol=1e-4)
        assert found.key_ids == tuple(book.key_ids[key] for key in np.argsort(row)[:5])
        assert found.threshold == pytest.approx(np.percentile(corrected, 25), rel=0.01)


def test_hubness_survives_coinciding_and_single_keys():
    book = Codebook(2, hubness=True, merge="off", min_edits=0)
    book.insert("one", torch.zeros(1, 2), ["One."], [1.0], ["answer"])
    assert book.retrieve(torch.zeros(1, 2))[0].facts == ("One.",)
    book.insert("more", torch.zeros(5, 2), list("abcde"), [1.0] * 5, ["reasoning"] * 5)
    assert all(np.isfinite(book.retrieve(torch.ones(1, 2))[0].distances))
