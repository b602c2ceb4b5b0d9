"""Work shared through a cache: each part is made once, by whoever is alive."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data_modules.qa_record import QARecord
from data_modules.records import ImageRef, Question
from rv_edit.benchmark import Mined, error_chains, left_to_mine, mine
from rv_edit.benchmark.cache import ChunkCache
from rv_edit.benchmark.sharing import share
from rv_edit.vlm import VLM

forking = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: the test forks")


class Parts:
    """Parts as small files, and a log with a line for each time that one is made."""

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        self.folder, self.seconds = folder, seconds
        self.log = folder / "log.txt"

    def find(self, key: int) -> str | None:
        path = self.place(key)
        return path.read_text() if path.is_file() else None

    def make(self, key: int) -> str:
        with open(self.log, "a") as log:
            log.write(f"{key}\n")
        time.sleep(self.seconds)
        temporary = self.place(key).with_suffix(f".{os.getpid()}.{threading.get_ident()}.tmp")
        temporary.write_text(f"made {key}")
        os.replace(temporary, self.place(key))
        return f"made {key}"

    def place(self, key: int) -> Path:
        return self.folder / f"{key}.txt"

    def share(self, keys: Sequence[int]) -> list[tuple[int, str]]:
        return list(share(keys, find=self.find, make=self.make, place=self.place))

    def made(self) -> Counter[str]:
        return Counter(self.log.read_text().split())


def forked(work: Callable[[], Any]) -> Any:
    """A process that does ``work``; a failure is its exit status."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def together(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each of several threads returns; locks hold between threads as between processes."""
    results: list[Any] = [None] * len(works)

    def run(place: int) -> None:
        results[place] = works[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_alone_it_is_a_loop(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    assert parts.share([3, 1, 2]) == [(3, "made 3"), (1, "made 1"), (2, "made 2")]
    assert parts.share([2, 4]) == [(2, "made 2"), (4, "made 4")]
    assert parts.made() == Counter("1234")
    assert not list(tmp_path.glob(".*"))
    assert list(share([1, 2], find=lambda _: None, make=str, place=lambda _: None)) == [(1, "1"), (2, "2")]
    (tmp_path / "file").write_text("")
    out_of_reach = tmp_path / "file" / "x"
    assert list(share([1], find=lambda _: None, make=str, place=lambda _: out_of_reach)) == [(1, "1")]


@forking
def test_four_processes_make_each_part_once(tmp_path: Path) -> None:
    parts = Parts(tmp_path, seconds=0.004)
    expected = {key: f"made {key}" for key in range(60)}

    def work() -> None:
        assert dict(parts.share(range(60))) == expected

    processes = [forked(work) for _ in range(4)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert parts.made() == Counter(map(str, range(60)))
    assert not list(tmp_path.glob(".*.lock"))


@forking
def test_what_a_killed_process_had_begun_is_made_by_another(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    slow = Parts(tmp_path, seconds=600)
    died = forked(lambda: slow.share([7]))
    while not parts.log.exists():
        time.sleep(0.01)
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.append(parts.share([7, 8])))
    waiting.start()
    while parts.find(8) is None:
        time.sleep(0.01)
    assert parts.find(7) is None  # 8 is made meanwhile, 7 is waited for
    os.kill(died.pid, signal.SIGKILL)
    waiting.join(timeout=60)
    died.join()
    assert results == [[(8, "made 8"), (7, "made 7")]]
    assert parts.made() == Counter({"7": 2, "8": 1})  # 7: begun, and made


def test_a_part_that_cannot_be_kept_is_made_by_each(tmp_path: Path) -> None:
    made: list[int] = []

    def make(key: int) -> str:
        made.append(key)
        time.sleep(0.02)
        return str(key)

    def work() -> list[Any]:
        return list(share([1, 2], find=lambda _: None, make=make, place=lambda key: tmp_path / str(key)))

    for result in together([work, work]):
        assert dict(result) == {1: "1", 2: "2"}
    assert sorted(made) == [1, 1, 2, 2]


@pytest.fixture
def encoded(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each pass through the vision tower takes."""
    seen: list[int] = []
    encode = type(vlm).encode_images

    def counted(self: VLM, images: Sequence[Image.Image], *args: Any, **options: Any) -> Any:
        seen.append(len(images))
        time.sleep(0.02)  # so that none is through before the others begin
        return encode(self, images, *args, **options)

    monkeypatch.setattr(type(vlm), "encode_images", counted)
    return seen


@pytest.mark.parametrize("limit", [None, 4])
@pytest.mark.parametrize("world", [2, 5])
def test_mining_does_not_depend_on_how_many_mine(
    vlm: VLM, records: list[QARecord], tmp_path: Path, encoded: list[int], world: int, limit: int | None
) -> None:
    options: dict[str, Any] = {"batch_size": 4, "chunk_size": 4, "limit_errors": limit, "limit_correct": limit}
    alone = mine(vlm, records, **options)
    once = sum(encoded)
    encoded.clear()
    found = together([lambda: mine(vlm, records, cache_dir=tmp_path, **options)] * world)
    for mined in found:
        assert (mined.errors, mined.correct, mined.scored) == (alone.errors, alone.correct, alone.scored)
        assert (mined.skipped, mined.complete) == (alone.skipped, alone.complete)
    if limit is None:
        assert sum(encoded) == once == 20  # no picture twice, hence no question
    else:
        assert not alone.complete
        assert once <= sum(encoded) <= 20
    assert left_to_mine(vlm, records, cache_dir=tmp_path, chunk_size=4) == 0 or limit is not None
    assert not list(tmp_path.rglob("*.lock"))


def test_what_is_left_to_mine(vlm: VLM, records: list[QARecord], tmp_path: Path) -> None:
    assert left_to_mine(vlm, records, cache_dir=None, chunk_size=4) > 4
    left = left_to_mine(vlm, records, cache_dir=tmp_path, chunk_size=4)
    mine(vlm, records, cache_dir=tmp_path, chunk_size=4, limit_errors=1, limit_correct=1)
    kept = len(list(tmp_path.rglob("*.jsonl")))
    assert 0 < kept < left
    assert left_to_mine(vlm, records, cache_dir=tmp_path, chunk_size=4) == left - kept


def test_chains_are_shared_too(vlm: VLM, records: list[QARecord], tmp_path: Path, encoded: list[int]) -> None:
    edits = [record.as_edit() for record in records]
    alone = error_chains(vlm, edits, chunk_size=5, cache_dir=tmp_path / "alone")
    once = sum(encoded)
    encoded.clear()
    found = together([lambda: error_chains(vlm, edits, chunk_size=5, cache_dir=tmp_path / "shared")] * 3)
    assert [repr(chains) for chains in found] == [repr(alone)] * 3
    assert sum(encoded) == once


@forking
def test_mining_killed_at_random_asks_nothing_kept_again(vlm: VLM, records: list[QARecord], tmp_path: Path) -> None:
    """Two processes mine and are killed, twice, and a third ends it: what a file held is never asked again."""
    log = tmp_path / "asked.txt"
    options: dict[str, Any] = {"batch_size": 4, "chunk_size": 2, "cache_dir": tmp_path / "cache"}

    def work() -> None:
        real = ChunkCache.put

        def put(self: ChunkCache, items: Sequence[str], rows: Sequence[Any]) -> None:
            real(self, items, rows)
            with open(log, "a") as file:
                file.write("".join(f"{json.dumps(item)}\n" for item in items))
            time.sleep(0.05)

        ChunkCache.put = put  # type: ignore[method-assign]  # in the child alone
        mine(vlm, records, **options)

    for kept in (3, 6):
        running = [forked(work), forked(work)]
        while len(list((tmp_path / "cache").rglob("*.jsonl"))) < kept and any(one.is_alive() for one in running):
            time.sleep(0.005)
        for process in running:
            process.kill()
            process.join()
    last = forked(work)
    last.join()
    assert last.exitcode == 0
    asked = Counter(log.read_text().split())
    assert set(asked.values()) == {1}
    assert len(asked) >= 30 - 4  # killed between keeping and logging: two parts at most, twice
    resumed: Mined = mine(vlm, records, **options)
    whole = mine(vlm, records, batch_size=4, chunk_size=2)
    assert (resumed.errors, resumed.correct, resumed.scored) == (whole.errors, whole.correct, whole.scored)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.soak
def test_eighteen_thousand_questions_by_three(vlm: VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as A-OKVQA has, the model's part left out: each is asked once, by one of three."""
    asked: Counter[str] = Counter()
    lock = threading.Lock()

    def ask(self: Any, questions: Sequence[Question], prompts: Sequence[Any]) -> list[dict[str, Any]]:
        with lock:
            asked.update(question.id for question in questions)
        return [{"scores": [-(hash(question.id) % 97) / 7.0, -5.0, -6.0, -7.0]} for question in questions]

    monkeypatch.setattr("rv_edit.benchmark.mining._Scorer._ask", ask)
    choices = ("a", "b", "c", "d")
    pool = [
        QARecord(f"q{place}", ImageRef(sha=f"{place % 17_662:064x}"), f"What is thing {place}?", choices, "a")
        for place in range(18_201)
    ]
    found = together([lambda: mine(vlm, pool, cache_dir=tmp_path)] * 3)
    assert len(asked) == 18_201 and set(asked.values()) == {1}
    assert all((mined.errors, mined.correct) == (found[0].errors, found[0].correct) for mined in found)
    started = time.perf_counter()
    again = mine(vlm, pool, cache_dir=tmp_path)
    assert time.perf_counter() - started < 60  # seconds at rest; the bound is for machines that are not
    assert again.cached_chunks == 128 and again.errors == found[0].errors
    assert len(asked) == 18_201 and set(asked.values()) == {1}
