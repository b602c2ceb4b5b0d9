"""Latency of the service under a fixed arrival rate, with and without edits in between, in one run.

    python benchmarks/service_load.py --seconds 60 --clients 32

The service runs in a process of its own on the shipped model. The rate is a share of what the same clients get answered
when each asks again at once. Requests are due at fixed times, whoever is late: latency counts from when a request was
due, so that a stalled service is not flattered by clients that wait for it. Some edits are made before, so that all
questions are looked up and answered with facts. With edits, one with given crops is made every second (``--every``);
afterwards every acknowledged edit must be there, once.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import queue
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rv_edit.pocket.dataset import load
from tests.app.serving import Server


def bodies(count: int = 60) -> list[dict[str, Any]]:
    """Questions of the embedded world as clients send them."""
    made = []
    for record in load("aokvqa", questions=count).records:
        picture = "data:image/png;base64," + base64.b64encode(Path(record.image.path or "").read_bytes()).decode()
        made.append(
            {
                "image": picture,
                "question": record.question,
                "answer": record.answer,
                "reasoning": list(record.reasoning),
                "choices": list(record.choices),
            }
        )
    return made


def question(body: dict[str, Any]) -> dict[str, Any]:
    """A body as a chat completion's."""
    parts = [{"type": "image_url", "image_url": {"url": body["image"]}}, {"type": "text", "text": body["question"]}]
    return {"model": "pocket", "messages": [{"role": "user", "content": parts}], "choices": body["choices"]}


class Load:
    """Clients that send what is due.

    Args:
        address: of the service.
        asked: bodies of questions, taken in turn.
        clients: connections at once.
    """

    def __init__(self, address: str, asked: list[dict[str, Any]], clients: int) -> None:
        self.address = address
        self.asked = asked
        self.clients = clients

    def capacity(self, seconds: float) -> float:
        """Requests a second when every client asks again at once."""
        begun = time.perf_counter()
        return len(self._run(None, seconds)[0]) / (time.perf_counter() - begun)

    def at(self, rate: float, seconds: float) -> tuple[list[float], list[str]]:
        """Latencies from due to done, and errors, at ``rate`` requests a second."""
        return self._run(rate, seconds)

    def _run(self, rate: float | None, seconds: float) -> tuple[list[float], list[str]]:
        due: queue.Queue[float | None] = queue.Queue()
        latencies: list[float] = []
        errors: list[str] = []
        end = time.perf_counter() + seconds

        def work(number: int) -> None:
            # Without TLS there is nothing to verify, and loading certificates 32 times would be part of the load.
            with httpx.Client(base_url=self.address, timeout=120, verify=False) as http:
                turn = number
                while True:
                    when = due.get() if rate is not None else time.perf_counter()
                    if when is None or (rate is None and when > end):
                        return
                    turn += self.clients
                    try:
                        done = http.post("/v1/chat/completions", json=self.asked[turn % len(self.asked)])
                        if done.status_code != 200:
                            errors.append(f"{done.status_code} {done.text[:200]}")
                    except httpx.HTTPError as error:
                        errors.append(repr(error))
                    latencies.append(time.perf_counter() - when)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(self.clients)]
        for thread in threads:
            thread.start()
        if rate is not None:
            begun = time.perf_counter()
            for number in range(int(rate * seconds)):
                when = begun + number / rate
                time.sleep(max(0.0, when - time.perf_counter()))
                due.put(when)
            for _ in threads:
                due.put(None)
        for thread in threads:
            thread.join()
        return latencies, errors


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def keep_editing(
    address: str, edits: list[dict[str, Any]], until: threading.Event, made: list[str], every: float
) -> None:
    """An edit with given crops every so many seconds; notes the ids acknowledged, or an error."""
    with httpx.Client(base_url=address, timeout=120, verify=False) as http:
        begun, first = time.perf_counter(), len(made)
        for number, body in enumerate(edits):
            if until.wait(max(0.0, begun + number * every - time.perf_counter())):
                return
            crops = {str(fact): [[0, 0, 96, 96]] for fact in range(len(body["reasoning"]))}
            sent = {key: value for key, value in body.items() if key != "choices"}
            done = http.post("/v1/edits", json={**sent, "id": f"load-{first + number}", "evidence": crops})
            made.append(done.json()["id"] if done.status_code == 201 else f"error {done.status_code} {done.text[:200]}")


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def measure(
    seconds: float, clients: int, share: float, every: float = 1.0, warm: float = 5.0, held: int = 60
) -> dict[str, Any]:
    """The whole comparison; see the module."""
    known = bodies(60 + held + int(seconds / every) + 1)
    asked, before, edits = known[:60], known[60 : 60 + held], known[60 + held :]
    with tempfile.TemporaryDirectory() as folder:
        server = Server("name=pocket", data=Path(folder) / "data")
        load_ = Load(server.address, [question(body) for body in asked], clients)
        made: list[str] = []
        keep_editing(server.address, before, threading.Event(), made, 0.0)
        load_.capacity(warm)
        capacity = load_.capacity(warm)
        rate = share * capacity
        found: dict[str, Any] = {"clients": clients, "seconds": seconds, "capacity": capacity, "rate": rate}
        found["edits before"] = len(made)
        for name in ("without edits", "with edits"):
            until = threading.Event()
            editor = threading.Thread(target=keep_editing, args=(server.address, edits, until, made, every))
            used, begun = cpu_seconds(server.process.pid), time.perf_counter()
            if name == "with edits":
                editor.start()
            latencies, errors = load_.at(rate, seconds)
            until.set()
            if editor.ident is not None:
                editor.join()
            wall = time.perf_counter() - begun
            found[name] = {
                "requests": len(latencies),
                "errors": errors[:5],
                "p50": percentile(latencies, 50),
                "p95": percentile(latencies, 95),
                "p99": percentile(latencies, 99),
                "cpu seconds": cpu_seconds(server.process.pid) - used,
                "cores busy": (cpu_seconds(server.process.pid) - used) / wall,
            }
        listed = httpx.get(f"{server.address}/v1/edits", params={"limit": 1000}, timeout=60).json()
        found["edits"] = {
            "acknowledged": len(made),
            "errors": [name for name in made if name.startswith("error")][:5],
            "lost": sorted(set(made) - {one["id"] for one in listed["data"]}),
            "listed": listed["total"],
        }
        found["p95 ratio"] = found["with edits"]["p95"] / found["without edits"]["p95"]
        server.stop()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--share", type=float, default=0.7, help="of the rate that the service can answer")
    parser.add_argument("--held", type=int, default=60, help="edits made before, so that questions find facts")
    parser.add_argument("--every", type=float, default=1.0, help="seconds from one edit to the next")
    given = parser.parse_args()
    print(json.dumps(measure(given.seconds, given.clients, given.share, given.every, held=given.held), indent=1))
