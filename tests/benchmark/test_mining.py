"""Mining: predictions equal naive forwards, the cache changes nothing, stopping early is a prefix."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules.qa_record import QARecord
from data_modules.records import ImageRef, RecordError
from rv_edit.benchmark import Mined, Scored, mine, score_questions
from rv_edit.benchmark.cache import ChunkCache
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.vlm.tiny_llava import naive_logits

OPTIONS: dict[str, Any] = {"batch_size": 4, "chunk_size": 7}


def naive(vlm: VLM, record: QARecord, normalize: str) -> list[float]:
    """Scores by a plain full forward a choice."""
    scores = []
    for choice in record.choices:
        prompt = vlm.format_prompt(record.question)
        ids = vlm.prompts.answer_ids(choice)
        logp = naive_logits(vlm, record.image.open(), prompt, ids).log_softmax(-1)
        tokens = [float(logp[place - len(ids) - 1, token]) for place, token in enumerate(ids)]
        scores.append({"sum": sum(tokens), "mean": float(np.mean(tokens)), "first_token": tokens[0]}[normalize])
    return scores


@pytest.fixture
def passes(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pictures that go through the vision tower from now on, call by call."""
    seen: list[int] = []
    encode = type(vlm).encode_images

    def counted(self: VLM, images: Sequence[Image.Image], *args: Any, **options: Any) -> Any:
        seen.append(len(images))
        return encode(self, images, *args, **options)

    monkeypatch.setattr(type(vlm), "encode_images", counted)
    return seen


def plain(mined: Mined) -> tuple[Any, ...]:
    return mined.errors, mined.correct, mined.scored, mined.skipped, mined.complete


@pytest.mark.parametrize("normalize", ["sum", "mean", "first_token"])
def test_scores_equal_naive_forwards(vlm: VLM, records: list[QARecord], normalize: str) -> None:
    mined = mine(vlm, records[:9], normalize=normalize, **OPTIONS)
    for record in records[:9]:
        expected = naive(vlm, record, normalize)
        np.testing.assert_allclose(mined.scored[record.id].scores, expected, atol=1e-4)
        right = int(np.argmax(expected)) == record.target
        assert (record.id in mined.correct) == right
        assert (record.id in mined.errors) != right
    assert mined.error_rate == len(mined.errors) / 9
    assert mined.complete


def test_pictures_are_encoded_once_and_not_at_all_from_the_cache(
    vlm: VLM, records: list[QARecord], tmp_path: Path, passes: list[int]
) -> None:
    cold = mine(vlm, records, cache_dir=tmp_path, **OPTIONS)
    assert sum(passes) == len({record.image.sha for record in records}) == 20
    assert {*cold.errors} | {*cold.correct} == {record.id for record in records}
    assert cold.cached_chunks == 0
    warm = mine(vlm, list(reversed(records)), cache_dir=tmp_path, **OPTIONS)
    assert sum(passes) == 20
    assert plain(warm) == plain(cold)
    assert warm.cached_chunks == len(list(tmp_path.rglob("*.jsonl")))
    assert plain(mine(vlm, records, **OPTIONS)) == plain(cold)
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_key_is_model_data_and_options(
    vlm: VLM, records: list[QARecord], tmp_path: Path, passes: list[int]
) -> None:
    def hits(pool: list[QARecord], **options: Any) -> int:
        return mine(vlm, pool, cache_dir=tmp_path, **{**OPTIONS, **options}).cached_chunks

    hits(records)
    chunks = hits(records)
    assert chunks >= 4
    assert hits(records, batch_size=3) == chunks
    assert hits(records, seed=5) == chunks
    assert hits(records, normalize="mean") == 0
    other = [QARecord(r.id, r.image, r.question + " Now?", r.choices, r.answer) for r in records]
    assert hits(other) == 0
    # Another answer is another outcome of the same scores.
    swapped = [QARecord(r.id, r.image, r.question, r.choices, r.choices[1 - r.target]) for r in records]
    assert hits(swapped) == chunks
    chosen = [QARecord(r.id, r.image, r.question, (*r.choices[:-1], "green"), r.choices[0]) for r in records]
    assert hits(chosen) == 0  # as many choices, others among them: FVQA's are drawn by a seed
    fingerprint, vlm.fingerprint = vlm.fingerprint, "another"
    try:
        assert hits(records) == 0
    finally:
        vlm.fingerprint = fingerprint
    assert hits([r for r in records if r.id != "q3"]) in range(chunks - 2, chunks)  # what is unchanged is kept


def test_it_stops_once_enough_of_both_are_found(vlm: VLM, records: list[QARecord], passes: list[int]) -> None:
    whole = mine(vlm, records, **OPTIONS)
    assert len(whole.errors) > 4
    assert len(whole.correct) > 4
    reports: list[tuple[int, int, int, int]] = []
    some = mine(vlm, records, limit_errors=2, limit_correct=2, progress=lambda *now: reports.append(now), **OPTIONS)
    assert not some.complete
    assert len(some.scored) < len(records)
    assert len(some.errors) >= 2
    assert len(some.correct) >= 2
    assert whole.errors[: len(some.errors)] == some.errors
    assert whole.correct[: len(some.correct)] == some.correct
    assert reports[-1] == (len(some.scored), 30, len(some.errors), len(some.correct))
    assert min(reports[-2][2:]) < 2 if len(reports) > 1 else True  # not a chunk too many
    assert mine(vlm, records, limit_errors=99, limit_correct=1, **OPTIONS).complete
    orders = {mine(vlm, records, seed=seed, **OPTIONS).errors for seed in range(4)}
    assert len(orders) > 1
    assert len({frozenset(order) for order in orders}) == 1


def test_interrupted_mining_keeps_its_chunks(vlm: VLM, records: list[QARecord], tmp_path: Path) -> None:
    def stop(asked: int, *_: int) -> None:
        if asked > 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine(vlm, records, cache_dir=tmp_path, progress=stop, **OPTIONS)
    kept = len(list(tmp_path.rglob("*.jsonl")))
    resumed = mine(vlm, records, cache_dir=tmp_path, **OPTIONS)
    assert resumed.cached_chunks == kept >= 2
    assert plain(resumed) == plain(mine(vlm, records, **OPTIONS))


def test_bad_pictures_and_questions_cost_themselves_only(vlm: VLM, records: list[QARecord], tmp_path: Path) -> None:
    broken = ImageRef.from_bytes(b"not a picture")
    bad = QARecord("bad", broken, "What is it?", ("red", "blue"), "red")
    long = QARecord("long", records[0].image, "word " * 2000, ("red", "blue"), "red")
    for _ in range(2):  # computed, then cached
        mined = mine(vlm, [*records, bad, long], cache_dir=tmp_path, **OPTIONS)
        reasons = dict(mined.skipped)
        assert set(reasons) == {"bad", "long"}
        assert len(mined.scored) == 30
        assert "not a picture" in reasons["bad"]
        assert "tokens" in reasons["long"]
    for record in records:
        np.testing.assert_allclose(
            mined.scored[record.id].scores, mine(vlm, [record]).scored[record.id].scores, atol=1e-4
        )
    with pytest.raises(RecordError, match="question bad: "):
        score_questions(vlm, [bad.as_question()])


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "no header", "wrong rows"])
def test_a_damaged_cache_is_remade(
    vlm: VLM, records: list[QARecord], tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = mine(vlm, records, cache_dir=tmp_path, **OPTIONS)
    path = sorted(tmp_path.rglob("*.jsonl"))[0]
    data = path.read_bytes()
    flipped = data.replace(b'"scores": [-', b'"scores": [-9', 1)
    path.write_bytes(
        {"cut": data[:-30], "flip": flipped, "empty": b"", "no header": data.partition(b"\n")[2],
         "wrong rows": data.rpartition(b"\n{")[0] + b"\n"}[damage]
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        again = mine(vlm, records, cache_dir=tmp_path, **OPTIONS)
    assert [record.message.count("\n") for record in caplog.records] == [0]
    assert "damaged" in caplog.text
    assert plain(again) == plain(good)
    assert path.read_bytes() == data


def test_a_cache_that_cannot_be_written_stops_nothing(
    vlm: VLM, records: list[QARecord], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "scores").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        mined = mine(vlm, records, cache_dir=tmp_path, **OPTIONS)
    assert plain(mined) == plain(mine(vlm, records, **OPTIONS))
    assert len([record for record in caplog.records if "going on without it" in record.message]) == 1


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ChunkCache(tmp_path, {})
    cache.put(["a"], [{"v": 1}])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self: Path, data: bytes) -> int:
        with open(self, "wb") as file:
            file.write(data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    cache.put(["b"], [{"v": 2}])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert cache.get(["a"]) == [{"v": 1}]
    assert cache.get(["b"]) is None


def test_cache_rows_round_trip_exactly(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=50).tolist() + [float("-inf"), 1e-300]
    cache = ChunkCache(tmp_path, {"kind": "test"})
    cache.put(["x"], [{"scores": values}])
    assert cache.get(["x"]) == [{"scores": values}]
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_bytes().splitlines()[0])["kind"] == "test"


def test_score_questions_keeps_the_order_asked(vlm: VLM, records: list[QARecord], tmp_path: Path) -> None:
    asked = [record.as_question(suite) for suite in ("contrast", "loc") for record in records[:6]]
    scored = score_questions(vlm, asked, cache_dir=tmp_path, **OPTIONS)
    assert [item.question_id for item in scored] == [question.id for question in asked]
    mined = mine(vlm, records[:6], **OPTIONS)
    for question, item in zip(asked, scored, strict=True):
        np.testing.assert_allclose(item.scores, mined.scored[question.id].scores, atol=1e-4)


def test_ties_options_and_duplicates(vlm: VLM, records: list[QARecord]) -> None:
    assert Scored("q", (-2.0, -1.0, -1.0)).prediction == 1
    with pytest.raises(ConfigError, match="sum, mean, first_token"):
        mine(vlm, records, normalize="total")
    with pytest.raises(RecordError, match="same id"):
        mine(vlm, [records[0], records[0]])
    empty = mine(vlm, [])
    assert empty.complete
    assert np.isnan(empty.error_rate)
    assert torch.is_grad_enabled()
