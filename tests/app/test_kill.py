"""kill -9 under load, again and again: nothing acknowledged is lost, nothing is there twice, nothing was never sent."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import chat_body, edit_body
from tests.app.serving import Forked

pytestmark = pytest.mark.soak

ROUNDS = 20
WRITERS, READERS = 3, 2


class Client:
    """Sends edits and undos, and notes which were acknowledged and which went out without an answer."""

    def __init__(self, address: str, number: int, made: dict[str, dict[str, Any]]) -> None:
        self.address = address
        self.number = number
        self.mine = {name for name in made if name.startswith(f"w{number}.")}
        self.in_force: dict[str, dict[str, Any]] = {name: made[name] for name in self.mine}
        self.undone: set[str] = set()
        self.unsure: set[str] = set()
        self.acknowledged = 0

    def work(self, until: threading.Event, start: int, seed: int) -> None:
        draw = random.Random(seed)
        turn = start
        with httpx.Client(base_url=self.address, timeout=60) as http:
            while not until.is_set():
                turn += 1
                name = f"w{self.number}.{turn}"
                undo = self.in_force and draw.random() < 0.3
                try:
                    if undo:
                        name = draw.choice(sorted(self.in_force))
                        done = http.delete(f"/v1/edits/{name}")
                    else:
                        # Few pictures, so that edits contradict, merge and supersede each other.
                        body = edit_body(draw.randrange(4), draw.choice(("red", "blue")), id=name)
                        done = http.post("/v1/edits", json=body)
                except httpx.HTTPError:
                    self.unsure.add(name)  # sent, perhaps made, never acknowledged
                    self.in_force.pop(name, None)
                    return
                assert done.status_code in (200, 201), done.text
                self.acknowledged += 1
                if undo:
                    del self.in_force[name]
                    self.undone.add(name)
                else:
                    self.in_force[name] = {key: done.json()[key] for key in ("question", "answer", "reasoning")}


def read(address: str, until: threading.Event, wrong: list[str]) -> None:
    with httpx.Client(base_url=address, timeout=60) as http:
        while not until.is_set():
            try:
                answer = http.post("/v1/chat/completions", json=chat_body(1, max_tokens=1))
            except httpx.HTTPError:
                return
            if answer.status_code != 200:
                wrong.append(answer.text)


def listing(address: str) -> dict[str, dict[str, Any]]:
    answer = httpx.get(f"{address}/v1/edits", params={"limit": 1000}, timeout=60).json()
    found = {one["id"]: one for one in answer["data"]}
    assert len(found) == len(answer["data"]) == answer["total"] <= 1000
    return found


def test_nothing_acknowledged_is_lost(vlm_folder: Path, tiny: list[str], tmp_path: Path) -> None:
    draw = random.Random(0)
    data = tmp_path / "data"
    server = Forked(data, str(vlm_folder), *tiny)
    server.start()
    known: dict[str, dict[str, Any]] = {}
    acknowledged = torn = 0
    wrong: list[str] = []
    for turn in range(ROUNDS):
        until = threading.Event()
        clients = [Client(server.address, number, known) for number in range(WRITERS)]
        threads = [
            threading.Thread(target=client.work, args=(until, turn * 10_000, draw.randrange(10**9)))
            for client in clients
        ]
        threads += [threading.Thread(target=read, args=(server.address, until, wrong)) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 120
        while sum(client.acknowledged for client in clients) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 1.5))
        server.kill()
        until.set()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
        server.start()
        found = listing(server.address)
        acknowledged += sum(client.acknowledged for client in clients)
        torn += httpx.get(f"{server.address}/healthz").json()["journal_torn_bytes"] > 0
        unsure = set().union(*(client.unsure for client in clients))
        expected = {name: value for client in clients for name, value in client.in_force.items()}
        assert set(expected) - unsure <= set(found), "acknowledged and lost"
        assert set(found) <= set(expected) | unsure, "never sent, or undone for good"
        for name in set(expected) & set(found):
            assert {key: found[name][key] for key in expected[name]} == expected[name]
        known = {
            name: {key: value[key] for key in ("question", "answer", "reasoning")} for name, value in found.items()
        }
    assert acknowledged >= 3 * ROUNDS, "hardly any load"
    assert not wrong, wrong[:3]
    server.kill()
    server.close()
    print(f"{ROUNDS} rounds, {acknowledged} changes acknowledged, {len(known)} edits in force, {torn} torn lines")
