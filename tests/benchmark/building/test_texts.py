"""Asking until it is good, counting what is not, and never asking twice for what is there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_modules.qa_record import QARecord
from rv_edit.benchmark.building import parsing
from rv_edit.benchmark.building.journal import DiskError, Journal, read_rows
from rv_edit.benchmark.building.plan import TextJob, text_jobs
from rv_edit.benchmark.building.requests import (
    ProviderError,
    StoppedError,
    TextReply,
    TextRequest,
    UnusableError,
)
from rv_edit.benchmark.building.texts import Written, write_texts
from tests.benchmark.building.subjects import plan, shipped

Answer = Callable[[TextRequest, int], "str | Exception"]


class Writer:
    """Answers by the request and the number of times that its item was asked for; counts."""

    runs_here = False

    def __init__(self, answer: Answer, concurrency: int = 1, about: dict[str, Any] | None = None) -> None:
        self.answer, self.concurrency = answer, concurrency
        self.about = about or {"kind": "test", "model": "m"}
        self.asked: list[TextRequest] = []
        self._lock = threading.Lock()

    def refuses(self, record: QARecord) -> str | None:
        return None

    def load(self) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""

    def ask(self, request: TextRequest, stop: threading.Event) -> TextReply:
        with self._lock:
            turn = sum(one.item == request.item for one in self.asked)
            self.asked.append(request)
        found = self.answer(request, turn)
        if isinstance(found, Exception):
            raise found
        return TextReply(found, 5, 7, {"model": "served"})


def wordings(*marks: object) -> str:
    return json.dumps([f"Wording {mark}?" for mark in marks])


def job(count: int = 3, name: str = "q1") -> TextJob:
    return text_jobs(plan(name), shipped(suites=["t_gen"], t_gen__count=count))[0]


def write(folder: Path, jobs: list[TextJob], writer: Writer, attempts: int = 3, seed: int = 0) -> dict[str, Written]:
    with Journal(folder) as journal:
        return write_texts(jobs, writer, journal, attempts=attempts, seed=seed)


def test_a_good_answer_is_taken_with_its_provenance(tmp_path: Path) -> None:
    writer = Writer(lambda request, turn: wordings(1, 2, 3, 4))
    found = write(tmp_path, [job()], writer)["q1/t"]
    assert found.texts == ["Wording 1?", "Wording 2?", "Wording 3?"] and not found.dropped
    (asked,) = writer.asked
    assert found.provenance[2] == {
        "kind": "test", "model": "m", "served_by": {"model": "served"}, "prompt": asked.prompt, "seed": asked.seed,
        "attempt": 0,
    }  # fmt: skip
    assert asked.prompt.startswith("Please rephrase the following question in 3 different ways: What does q1 do?.")


def test_what_a_text_takes_is_measured_without_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def pass_by(seconds: float, text: str = "") -> str:
        clock[0] += seconds
        return text

    class Slow(Writer):
        def load(self) -> None:
            pass_by(60.0)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    write(tmp_path, [job()], Slow(lambda request, turn: pass_by(2.5, wordings(1, 2, 3))))
    (row,) = read_rows(tmp_path / "all.jsonl")[0].values()
    assert row["seconds"] == 2.5


def test_what_is_missing_is_asked_for_again_with_another_seed(tmp_path: Path) -> None:
    answers = ["no list", wordings(1, 1, "1"), wordings(2, 1, 3)]
    writer = Writer(lambda request, turn: answers[turn])
    found = write(tmp_path, [job()], writer)["q1/t"]
    assert found.texts == ["Wording 1?", "Wording 2?", "Wording 3?"] and not found.dropped
    assert [origin["attempt"] for origin in found.provenance] == [1, 2, 2]
    assert len({request.seed for request in writer.asked}) == 3


@pytest.mark.parametrize(
    ("answer", "kept", "reason"),
    [
        (wordings(1), 1, parsing.REPEATED),  # by the last attempt, it is the same again
        ("[]", 0, parsing.TOO_FEW),
        ("{", 0, parsing.MALFORMED),
        (json.dumps(["What does q1 do?"] * 3), 0, parsing.EDITED),
        (UnusableError("refused"), 0, "refused"),
    ],
)
def test_what_stays_missing_is_counted_by_reason(
    tmp_path: Path, answer: str | Exception, kept: int, reason: str
) -> None:
    writer = Writer(lambda request, turn: answer)
    found = write(tmp_path, [job()], writer)["q1/t"]
    assert len(found.texts) == kept and found.dropped == {reason: 3 - kept} and len(writer.asked) == 3


def test_what_will_never_be_better_is_asked_once(tmp_path: Path) -> None:
    writer = Writer(lambda request, turn: UnusableError("never", final=True))
    assert write(tmp_path, [job()], writer)["q1/t"].dropped == {"never": 3}
    assert len(writer.asked) == 1


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    answers = ["no list", wordings(1, 2), wordings(2, 3)]
    jobs = [job(name=f"q{place}") for place in range(5)]
    once = Writer(lambda request, turn: answers[turn])
    first = write(tmp_path, jobs, once)
    again = Writer(lambda request, turn: pytest.fail("asked again"))
    assert write(tmp_path, jobs, again) == first and len(once.asked) == 15
    more = Writer(lambda request, turn: wordings(1, 2, 3))
    write(tmp_path, [*jobs, job(name="new")], more)
    assert [request.item for request in more.asked] == ["new/t"]
    for other in (Writer(lambda *_: wordings(1, 2, 3), about={"kind": "test", "model": "other"}),):
        write(tmp_path, jobs, other)
        assert len(other.asked) == 5
    reseeded = Writer(lambda *_: wordings(1, 2, 3))
    write(tmp_path, jobs, reseeded, seed=1)
    assert len(reseeded.asked) == 5


def test_the_order_of_jobs_and_threads_changes_nothing(tmp_path: Path) -> None:
    def answer(request: TextRequest, turn: int) -> str:
        return wordings(request.seed, request.seed + 1) if turn < 1 else wordings(request.seed)

    jobs = [job(name=f"q{place}") for place in range(12)]
    one = write(tmp_path / "one", jobs, Writer(answer))
    many = write(tmp_path / "many", jobs[::-1], Writer(answer, concurrency=6))
    assert one == many


def test_a_failure_stops_the_others_and_keeps_what_was_on_its_way(tmp_path: Path) -> None:
    begun = threading.Barrier(3, timeout=30)

    def answer(request: TextRequest, turn: int) -> str | Exception:
        place = int(request.item[1:].partition("/")[0])
        if place < 3:
            begun.wait()
            return ProviderError("the key is refused") if place == 1 else wordings(1, 2, 3)
        pytest.fail("begun after the failure")

    jobs = [job(name=f"q{place}") for place in range(30)]
    writer = Writer(answer, concurrency=3)
    with pytest.raises(ProviderError, match="the key is refused"):
        write(tmp_path, jobs, writer)
    assert sorted(request.item for request in writer.asked) == ["q0/t", "q1/t", "q2/t"]
    good = Writer(lambda request, turn: wordings(4, 5, 6))
    found = write(tmp_path, jobs, good)
    assert sorted(request.item for request in good.asked) == sorted(f"q{n}/t" for n in range(30) if n not in (0, 2))
    assert found["q0/t"].texts[0] == "Wording 1?" and found["q1/t"].texts[0] == "Wording 4?"


@pytest.mark.soak
def test_an_interrupt_keeps_what_was_on_its_way(tmp_path: Path) -> None:
    late = threading.Event()

    def answer(request: TextRequest, turn: int) -> str:
        late.wait(30)
        return wordings(1, 2, 3)

    def interrupt(done: int) -> None:
        late.set()
        raise KeyboardInterrupt

    writer = Writer(answer, concurrency=2)
    jobs = [job(name=f"q{place}") for place in range(20)]
    with Journal(tmp_path) as journal, pytest.raises(KeyboardInterrupt):
        write_texts(jobs, writer, journal, attempts=3, seed=0, progress=interrupt)
    asked = [request.item for request in writer.asked]
    assert 2 <= len(asked) < 20
    rest = Writer(answer)
    write(tmp_path, jobs, rest)
    assert sorted(asked + [request.item for request in rest.asked]) == sorted(one.item for one in jobs)


def test_a_full_disk_stops_before_anything_is_paid_for(tmp_path: Path) -> None:
    writer = Writer(lambda request, turn: wordings(1, 2, 3))
    with Journal(tmp_path, reserve=2**62) as journal, pytest.raises(DiskError):
        write_texts([job()], writer, journal, attempts=3, seed=0)
    assert not writer.asked


def test_no_jobs(tmp_path: Path) -> None:
    assert write(tmp_path, [], Writer(lambda *_: StoppedError())) == {}
