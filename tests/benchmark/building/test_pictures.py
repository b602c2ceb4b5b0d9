"""Rounds of pictures: blank or wrong ones are made anew, then dropped; nothing is made or looked at twice."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_modules.qa_record import QARecord
from rv_edit.benchmark.building import pictures
from rv_edit.benchmark.building.journal import DiskError, Journal, read_rows
from rv_edit.benchmark.building.pictures import Drawn, Quality, Studio
from rv_edit.benchmark.building.plan import PictureJob
from rv_edit.benchmark.building.requests import ImageRequest, UnusableError
from rv_edit.benchmark.building.store import PictureStore, is_blank
from rv_edit.errors import ConfigError
from tests.benchmark.building.subjects import subject

Paint = Callable[[ImageRequest, int], "Image.Image | UnusableError"]


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8))


class Painter:
    """Paints by the request and the number of times that its item was asked for; counts."""

    seconds_per_image: float | None = None

    def __init__(self, paint: Paint = lambda request, turn: noise(request.seed), batch_size: int = 2) -> None:
        self._paint, self.batch_size = paint, batch_size
        self.about: dict[str, Any] = {"kind": "test", "model": "painter"}
        self.asked: list[ImageRequest] = []
        self.events: list[str] = []

    def refuses(self, record: QARecord) -> str | None:
        return None

    def load(self) -> None:
        self.events.append("load")

    def release(self) -> None:
        self.events.append("release")

    def paint(self, requests: Sequence[ImageRequest]) -> list[Image.Image | UnusableError]:
        assert len(requests) <= self.batch_size
        turns = [sum(one.item == request.item for one in self.asked) for request in requests]
        self.asked += requests
        self.events.append(f"paint {len(requests)}")
        return [self._paint(request, turn) for request, turn in zip(requests, turns, strict=True)]


class Looker:
    """Says how sure it is by text and picture; counts."""

    def __init__(self, say: Callable[[str, bytes], float], about: str = "looker") -> None:
        self.say, self.about = say, {"kind": "test", "model": about}
        self.looked: list[str] = []

    def load(self) -> None:
        """Nothing."""

    def shows(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        self.looked += texts
        return [self.say(text, image.tobytes()) for text, image in zip(texts, images, strict=True)]

    def release(self) -> None:
        """Nothing."""


def jobs(count: int, model: str = "a") -> list[PictureJob]:
    return [PictureJob(f"q{n}/i-{model}-0", "i_gen", f"text {n}", model, 0, subject(f"q{n}")) for n in range(count)]


def draw(
    folder: Path,
    wanted: Sequence[PictureJob],
    painters: Mapping[str, Painter],
    looker: Looker | None = None,
    regenerations: int = 3,
    reserve: int = 0,
) -> dict[str, Drawn]:
    with Journal(folder / "journal", reserve=reserve) as journal:
        quality = Quality(regenerations, 0.5, 8, 3)
        return Studio(painters, looker, PictureStore(folder), journal, quality, seed=0).draw(wanted)


def test_another_prompt_makes_another_picture(tmp_path: Path) -> None:
    """Of the same item: captions are others once the files with COCO's are given."""
    painter = Painter(lambda request, turn: noise(len(request.prompt)))
    first = jobs(1)
    second = [replace(first[0], prompt="text 0 by somebody else")]
    made = [draw(tmp_path, wanted, {"a": painter})[first[0].item] for wanted in (first, second, first)]
    assert made[0].picture != made[1].picture and made[0] == made[2]
    assert [request.prompt for request in painter.asked] == [first[0].prompt, second[0].prompt]


def test_pictures_lie_where_their_provenance_says(tmp_path: Path) -> None:
    painter = Painter()
    found = draw(tmp_path, jobs(3), {"a": painter}, Looker(lambda text, data: 0.75))
    assert painter.events == ["load", "paint 2", "load", "paint 1", "release"]
    for job, request in zip(jobs(3), painter.asked, strict=True):
        made = found[job.item]
        assert made.dropped is None and made.picture is not None and made.provenance is not None
        stored = Image.open(tmp_path / made.picture["file"])
        assert stored.tobytes() == noise(request.seed).tobytes() and made.picture["sha"] in made.picture["file"]
        assert made.provenance == {
            "name": "a", "kind": "test", "model": "painter", "prompt": job.prompt, "seed": request.seed, "attempt": 0,
            "p_shown": 0.75, "checked_by": {"kind": "test", "model": "looker"},
        }  # fmt: skip
    assert not list(tmp_path.rglob("*.tmp"))


def test_black_pictures_are_made_anew_then_dropped(tmp_path: Path) -> None:
    black = Image.new("RGB", (6, 6))
    dark = Image.fromarray(np.random.default_rng(0).integers(0, 9, (6, 6, 3), dtype=np.uint8))

    def paint(request: ImageRequest, turn: int) -> Image.Image:
        if request.item.startswith("q0"):
            return black if turn < 2 else noise(request.seed)
        return dark if request.item.startswith("q1") else noise(request.seed)

    painter = Painter(paint)
    found = draw(tmp_path, jobs(3), {"a": painter})
    assert found["q0/i-a-0"].provenance is not None and found["q0/i-a-0"].provenance["attempt"] == 2
    assert found["q1/i-a-0"] == Drawn(dropped=pictures.BLANK)
    assert [sum(one.item.startswith(f"q{n}") for one in painter.asked) for n in range(3)] == [3, 4, 1]
    assert len({one.seed for one in painter.asked}) == 8  # each attempt has a seed of its own
    assert is_blank(black, 8) and is_blank(dark, 8) and not is_blank(noise(1), 8)


def test_pictures_that_do_not_show_their_text_are_made_anew_then_dropped(tmp_path: Path) -> None:
    good: dict[str, int] = {}

    def say(text: str, data: bytes) -> float:
        good[text] = good.get(text, 0) + 1
        return {"text 0": 0.5, "text 1": 0.4 + 0.2 * (good[text] > 2), "text 2": math.nan}[text]

    painter, looker = Painter(), Looker(say)
    found = draw(tmp_path, jobs(3), {"a": painter}, looker)
    assert found["q0/i-a-0"] == Drawn(dropped=pictures.NOT_SHOWN)  # the threshold itself is not enough
    assert found["q2/i-a-0"] == Drawn(dropped=pictures.UNCHECKED)
    third = found["q1/i-a-0"].provenance
    assert third is not None and third["attempt"] == 2 and third["p_shown"] == pytest.approx(0.6)
    assert good == {"text 0": 4, "text 1": 3, "text 2": 4}


def test_no_regenerations(tmp_path: Path) -> None:
    painter = Painter(lambda request, turn: UnusableError("flagged"))
    assert draw(tmp_path, jobs(1), {"a": painter}, regenerations=0)["q0/i-a-0"].dropped == "flagged"
    assert len(painter.asked) == 1


def test_what_will_never_be_better_is_made_once(tmp_path: Path) -> None:
    painter = Painter(lambda request, turn: UnusableError("never", final=True))
    assert draw(tmp_path, jobs(2), {"a": painter})["q1/i-a-0"].dropped == "never"
    assert len(painter.asked) == 2


def test_models_take_turns_in_each_round(tmp_path: Path) -> None:
    events: list[str] = []

    def paint(request: ImageRequest, turn: int) -> Image.Image:
        events.append(f"{request.item[5]}{turn}")
        return noise(request.seed)

    a, b = Painter(paint), Painter(paint)
    looker = Looker(lambda text, data: events.append("look") or 0.0)  # type: ignore[func-returns-value]
    draw(tmp_path, [*jobs(1, "a"), *jobs(1, "b")], {"a": a, "b": b}, looker, regenerations=1)
    assert events == ["a0", "b0", "look", "look", "a1", "b1", "look", "look"]


def test_nothing_is_made_or_looked_at_twice(tmp_path: Path) -> None:
    black = Image.new("RGB", (6, 6))

    def paint(request: ImageRequest, turn: int) -> Image.Image:
        return black if request.item.startswith("q0") and turn < 2 else noise(request.seed)

    def say(text: str, data: bytes) -> float:
        return 0.1 if text == "text 1" else 0.9

    first = draw(tmp_path, jobs(4), {"a": Painter(paint)}, Looker(say))
    again, looker = Painter(), Looker(say)
    assert draw(tmp_path, jobs(4), {"a": again}, looker) == first
    assert not again.asked and not looker.looked and again.events == []
    other = Looker(say, about="another")
    draw(tmp_path, jobs(4), {"a": again}, other)
    assert not again.asked and len(other.looked) == 3 + 4  # another model looks for itself


def test_what_a_look_takes_is_measured_without_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def pass_by(seconds: float) -> None:
        clock[0] += seconds

    class Slow(Looker):
        def load(self) -> None:
            pass_by(60.0)

    def say(text: str, data: bytes) -> float:
        pass_by(1.5)
        return 0.9

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    draw(tmp_path, jobs(4), {"a": Painter()}, Slow(say))
    rows, _ = read_rows(tmp_path / "journal/all.jsonl")
    assert [row["seconds"] for row in rows.values() if row["kind"] == "check"] == [1.5] * 4


def test_a_picture_that_was_deleted_or_cut_is_made_again_and_the_same(tmp_path: Path) -> None:
    first = draw(tmp_path, jobs(3), {"a": Painter()})
    paths = [tmp_path / str((first[job.item].picture or {})["file"]) for job in jobs(3)]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-3])
    painter = Painter()
    assert draw(tmp_path, jobs(3), {"a": painter}) == first
    assert sorted(one.item for one in painter.asked) == ["q0/i-a-0", "q1/i-a-0"] and all(p.exists() for p in paths)


def test_a_failure_keeps_what_was_made(tmp_path: Path) -> None:
    def paint(request: ImageRequest, turn: int) -> Image.Image:
        if request.item.startswith("q4"):
            raise ConfigError("out of memory")
        return noise(request.seed)

    with pytest.raises(ConfigError, match="out of memory"):
        draw(tmp_path, jobs(6), {"a": Painter(paint)})
    rest = Painter()
    draw(tmp_path, jobs(6), {"a": rest})
    assert sorted(one.item for one in rest.asked) == ["q4/i-a-0", "q5/i-a-0"]


def test_a_full_disk_is_one_line_and_leaves_no_half_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    painter = Painter()
    with pytest.raises(DiskError, match="reserve_mb"):
        draw(tmp_path, jobs(1), {"a": painter}, reserve=2**62)
    assert not painter.asked
    synced = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DiskError, match="No space left on device") as caught:
        draw(tmp_path, jobs(1), {"a": painter})
    assert "\n" not in str(caught.value) and not [path for path in (tmp_path / "images").rglob("*") if path.is_file()]
    monkeypatch.setattr(os, "fsync", synced)
    assert draw(tmp_path, jobs(1), {"a": painter})["q0/i-a-0"].picture


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    store = PictureStore(tmp_path)
    row = store.save(noise(1))
    (tmp_path / row["file"]).write_bytes(b"x" * row["bytes"])
    with pytest.raises(ConfigError, match="damaged; delete it"):
        store.open(row)


@pytest.mark.parametrize(("form", "kind"), [("png", "PNG"), ("jpg", "JPEG")])
def test_formats(tmp_path: Path, form: str, kind: str) -> None:
    row = PictureStore(tmp_path, form).save(noise(1))
    assert Image.open(tmp_path / row["file"]).format == kind and row["file"].endswith(f".{form}")
    with pytest.raises(ConfigError, match="picture_format=gif"):
        PictureStore(tmp_path, "gif")
