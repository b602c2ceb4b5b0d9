"""A W&B run that never meets a server holds everything: figures by edit, options, table, codebook, rounds."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK, HEAD, FILE_HEAD = 32768, 7, 7
"""Bytes of LevelDB's log format, in which the client writes."""


def chunks(data: bytes) -> Iterator[bytes]:
    """The records of a log, put together where they go over the end of a block."""
    assert data.startswith(b":W&B")
    place, parts = FILE_HEAD, []
    while place < len(data):
        left = BLOCK - place % BLOCK
        if left < HEAD:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + HEAD])
        parts.append(data[place + HEAD : place + HEAD + length])
        place += HEAD + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def records(folder: Path) -> list[Any]:
    """What the client wrote for ``wandb sync``."""
    (path,) = folder.rglob("offline-run-*/*.wandb")
    found = []
    for data in chunks(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        found.append(record)
    return found


def items(update: Any) -> dict[str, Any]:
    """Names and values of a record."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in update}


def check(out: Path) -> None:
    """What the client kept in a run's folder against what the run found."""
    found = json.loads((out / "results.json").read_text())
    told = records(out)
    rows = [items(record.history.item) for record in told if record.HasField("history")]
    by_edit = [row for row in rows if "edit_seconds" in row]
    assert [row["trainer/global_step"] for row in by_edit] == list(range(1, 7)), "a point for each edit"
    assert all(row["keys"] > 0 and row["kb"] > 0 for row in by_edit)
    rounds = [row for row in rows if "sequential/acc" in row]
    assert [row["sequential/edits"] for row in rounds] == [4, 6] == [row["trainer/global_step"] for row in rounds]
    for row, point in zip(rounds, found["curve"], strict=True):
        assert row["sequential/t_gen"] == point["metrics"]["t_gen"]["mean"]
        assert row["sequential/accept/acc"] == point["accept_rate"]["acc"]
    (before,) = (row for row in rows if "before/loc" in row)
    (after,) = (row for row in rows if "test/acc" in row)
    assert before["before/loc"] == 1.0 and before["trainer/global_step"] == 0
    assert after["test/acc"] == found["after"]["acc"]["mean"] and after["trainer/global_step"] == 6
    (table,) = (row for row in rows if row.get("edits._type") == "table-file")
    (path,) = out.rglob(table["edits.path"])
    shown = json.loads(path.read_text())
    assert {"image", "question", "before", "after", "facts"} <= set(shown["columns"]) and len(shown["data"]) == 6
    asked = [row for row in shown["data"] if row[shown["columns"].index("after")] is not None]
    assert len(asked) == found["after"]["acc"]["n"]
    (kept,) = (record.artifact for record in told if record.artifact.type == "run_table")
    pictures = [Path(item.local_path) for item in kept.manifest.contents if item.path.endswith(".png")]
    assert len(pictures) == len(asked) and all(picture.is_file() for picture in pictures), "what is synced later"
    options: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    for record in told:
        if record.HasField("config"):
            options |= items(record.config.update)
        if record.HasField("summary"):
            summary |= items(record.summary.update)
    assert options["editor"]["codebook"]["k"] == 5 and options["seed"] == 0
    assert summary["kb_per_edit"] == found["kb_per_edit"] and "test/mean" in summary
    (book,) = (record.artifact for record in told if record.artifact.type == "codebook")
    assert json.loads(book.metadata)["checksum"] == found["codebook"]["checksum"]
    assert any(record.HasField("stats") for record in told), "system figures are W&B's own"


def test_an_offline_run_is_complete(command: Callable[..., Any], tmp_path: Path) -> None:
    """In a process of its own: the client keeps the mode in which it was first imported."""
    out = tmp_path / "out"
    done = command(
        f"hydra.run.dir={out}", "logger=wandb", "logger.mode=offline", "sequential.every=4", "sequential.edits=3"
    )
    assert done.returncode == 0, done.stderr
    check(out)
