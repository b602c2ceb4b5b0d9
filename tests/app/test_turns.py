"""Several threads, one model, and questions of many clients answered together."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from data_modules.records import ImageRef, Question, RecordError
from rv_edit.app.batching import Batcher, Job
from rv_edit.app.errors import RequestError
from rv_edit.app.turns import Turns


def question(name: str) -> Question:
    return Question(name, ImageRef("0"), name, (), 0)


def test_one_at_a_time_in_the_order_of_asking() -> None:
    turns, order, inside = Turns(), [], 0
    started = threading.Barrier(2)

    def work(number: int) -> None:
        nonlocal inside
        with turns(), turns():
            inside += 1
            assert inside == 1
            order.append(number)
            time.sleep(0.002)
            inside -= 1

    def first() -> None:
        with turns():
            started.wait()
            while len(turns._waiting) < 8:
                time.sleep(0.001)

    holder = threading.Thread(target=first)
    holder.start()
    started.wait()
    threads = []
    for number in range(8):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
        while len(turns._waiting) <= number and holder.is_alive():  # with the last one it goes at once
            time.sleep(0.001)
    for thread in (holder, *threads):
        thread.join(30)
    assert order == list(range(8))
    with turns():
        pass


def test_an_error_gives_the_turn_on() -> None:
    turns = Turns()

    def fail() -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError):
        turns.wrap(fail)()
    done = threading.Thread(target=turns.wrap(lambda: None))
    done.start()
    done.join(10)
    assert not done.is_alive()


def test_what_came_in_meanwhile_is_the_next_batch() -> None:
    gate, seen = threading.Event(), []

    def answer(sort: Any, questions: list[Question]) -> list[str]:
        seen.append((sort, [item.id for item in questions]))
        gate.wait(30)
        return [f"{sort} {item.id}" for item in questions]

    sizes: list[int] = []
    batcher = Batcher(answer, 3, 10, sizes.append)
    futures = [batcher.submit(question("a"), 1, 60)]
    while not seen:
        time.sleep(0.001)
    futures += [batcher.submit(question(name), sort, 60) for name, sort in zip("bcde", (1, 2, 1, 1), strict=True)]
    gate.set()
    assert [future.result(30) for future in futures] == ["1 a", "1 b", "2 c", "1 d", "1 e"]
    assert seen == [(1, ["a"]), (1, ["b", "d"]), (2, ["c"]), (1, ["e"])] and sizes == [1, 3, 1]
    batcher.close()


def test_one_bad_question_does_not_cost_the_others_theirs() -> None:
    hold = threading.Event()

    def answer(sort: Any, questions: list[Question]) -> list[str]:
        hold.wait(30)
        if any(item.id == "bad" for item in questions):
            raise RecordError("question bad: unusable")
        if any(item.id == "bug" for item in questions):
            raise RuntimeError("a fault")
        return [item.id for item in questions]

    batcher = Batcher(answer, 4, 10)
    futures = [batcher.submit(question(name), 1, 60) for name in ("one", "two", "bad", "three")]
    hold.set()
    assert [futures[at].result(30) for at in (0, 1, 3)] == ["one", "two", "three"]
    with pytest.raises(RecordError, match="unusable"):
        futures[2].result(30)
    with pytest.raises(RuntimeError, match="a fault"):
        batcher.submit(question("bug"), 1, 60).result(30)
    assert batcher.submit(question("after"), 1, 60).result(30) == "after", "the thread goes on"
    batcher.close()


def test_who_gives_up_at_the_last_moment_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides count the same seconds, so a client may give up just when its question turns out to be late."""

    class GivenUp(Future[Any]):
        def cancelled(self) -> bool:
            return super().cancelled() or not self.cancel()

        def set_running_or_notify_cancel(self) -> bool:
            self.cancel()
            return super().set_running_or_notify_cancel()

    batcher = Batcher(lambda sort, questions: [item.id for item in questions], 1, 10)
    job = Job(question("late"), 1, 0.0, GivenUp())
    batcher._jobs.put(job)
    assert batcher.submit(question("after"), 1, 60).result(30) == "after"
    batcher.close()


def test_too_many_and_too_late_are_told_so() -> None:
    hold = threading.Event()
    running = threading.Event()

    def answer(sort: Any, questions: list[Question]) -> list[str]:
        running.set()
        hold.wait(30)
        return [item.id for item in questions]

    batcher = Batcher(answer, 1, 2)
    first = batcher.submit(question("first"), 1, 60)
    running.wait(30)
    late, gone = batcher.submit(question("late"), 1, 0.0), batcher.submit(question("gone"), 1, 60)
    with pytest.raises(RequestError, match="too many questions wait") as caught:
        batcher.submit(question("more"), 1, 60)
    assert caught.value.status == 503 and gone.cancel()
    hold.set()
    assert first.result(30) == "first"
    with pytest.raises(RequestError, match="waited too long"):
        late.result(30)
    assert batcher.submit(question("after"), 1, 60).result(30) == "after"
    batcher.close()
