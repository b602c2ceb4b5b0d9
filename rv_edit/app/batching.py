"""Questions of many clients, answered together by one thread.

What has come in while the model was busy is the next batch; nobody is kept waiting for a fuller one. A batch sees one
state of the edits from beginning to end.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from data_modules.records import Question, RecordError
from rv_edit.app.errors import RequestError

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Job:
    """A question that waits.

    Attributes:
        question: what is asked.
        sort: jobs of one sort are answered together.
        deadline: of ``time.monotonic``; after it nobody waits for the answer any more.
        answer: where it comes.
    """

    question: Question
    sort: Hashable
    deadline: float
    answer: Future[Any] = field(default_factory=Future)


Answerer = Callable[[Hashable, "list[Question]"], "list[Any]"]
"""A sort and questions of it -> an answer for each."""


class Batcher:
    """A thread that answers.

    Args:
        answer: does the work; called from that thread alone.
        batch_size: questions taken together.
        waiting: questions that may wait; more are refused.
        observe: told the size of each batch.
    """

    def __init__(
        self, answer: Answerer, batch_size: int, waiting: int, observe: Callable[[int], None] = lambda size: None
    ) -> None:
        self._answer = answer
        self._batch_size = batch_size
        self._observe = observe
        self._jobs: queue.Queue[Job | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._work, name="rv_edit-answers", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Questions that wait now."""
        return self._jobs.qsize()

    def submit(self, question: Question, sort: Hashable, seconds: float) -> Future[Any]:
        """Ask; the answer comes through the future.

        Raises:
            RequestError: too many wait already.
        """
        job = Job(question, sort, time.monotonic() + seconds)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise RequestError("busy: too many questions wait; ask again in a moment", 503, "busy") from None
        return job.answer

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first]
            ended = False
            while len(batch) < self._batch_size and not ended:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ended = True
                else:
                    batch.append(following)
            self._observe(len(batch))
            by_sort: dict[Hashable, list[Job]] = {}
            for job in batch:
                if not job.answer.set_running_or_notify_cancel():
                    continue  # nobody waits for it; asked first, as from here on it cannot be cancelled any more
                if job.deadline > time.monotonic():
                    by_sort.setdefault(job.sort, []).append(job)
                else:
                    job.answer.set_exception(RequestError("busy: waited too long; ask again in a moment", 503, "busy"))
            for sort, jobs in by_sort.items():
                self._run(sort, jobs)
            if ended:
                return

    def _run(self, sort: Hashable, jobs: Sequence[Job]) -> None:
        """Answer jobs of one sort; one that cannot be answered does not cost the others theirs."""
        try:
            answers = self._answer(sort, [job.question for job in jobs])
        except RecordError as error:
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
            else:
                for job in jobs:
                    self._run(sort, [job])
            return
        except Exception as error:
            log.exception("a batch of %d questions failed", len(jobs))
            for job in jobs:
                job.answer.set_exception(error)
            return
        for job, answer in zip(jobs, answers, strict=True):
            job.answer.set_result(answer)
